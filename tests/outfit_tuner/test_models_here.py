"""What the pack makes of ComfyUI's model folders. `folder_paths` is ComfyUI's module, in miniature."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from comfy_nodes.outfit_tuner.models_here import adapters_here, checkpoint_here, encoders_here, loras_here


class FolderPaths(ModuleType):
    """Names and folders as ComfyUI keeps them; an empty set of endings means all."""

    def __init__(self, root: Path) -> None:
        super().__init__("folder_paths")
        self.models_dir = str(root)
        self.supported_pt_extensions = {".safetensors", ".bin", ".sft", ".ckpt"}
        self.folder_names_and_paths = {
            kind: ([str(root / kind)], self.supported_pt_extensions) for kind in ("clip_vision", "loras", "checkpoints")
        }

    def get_filename_list(self, kind: str) -> list[str]:
        folders, endings = self.folder_names_and_paths[kind]
        found = {str(path.relative_to(root)) for root in folders for path in Path(root).rglob("*") if path.is_file()}
        return sorted(name for name in found if not endings or Path(name).suffix in endings)

    def get_full_path(self, kind: str, name: str) -> str | None:
        paths = [Path(folder) / name for folder in self.folder_names_and_paths[kind][0]]
        return next((str(path) for path in paths if path.is_file()), None)


@pytest.fixture
def comfyui(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderPaths:
    paths = FolderPaths(tmp_path)
    monkeypatch.setitem(sys.modules, "folder_paths", paths)
    for name in ("ipadapter/a.safetensors", "ipadapter/b.bin", "ipadapter/notes.txt", "clip_vision/in/h.sft"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return paths


def test_the_ipadapter_folder_is_registered_where_nobody_did(comfyui: FolderPaths, tmp_path: Path) -> None:
    shelf = adapters_here()
    assert dict(shelf.files) == {"a.safetensors": tmp_path / "ipadapter" / "a.safetensors"}
    assert shelf.pickled == ("b.bin",)
    assert comfyui.folder_names_and_paths["ipadapter"][0] == [str(tmp_path / "ipadapter")]


def test_a_folder_that_somebody_registered_stays(comfyui: FolderPaths, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "c.safetensors").touch()
    comfyui.folder_names_and_paths["ipadapter"] = ([str(tmp_path / "elsewhere")], set())
    assert list(adapters_here().files) == ["c.safetensors"]


@pytest.mark.usefixtures("comfyui")
def test_the_other_folders(tmp_path: Path) -> None:
    assert list(encoders_here().files.values()) == [tmp_path / "clip_vision" / "in" / "h.sft"]
    assert loras_here() == {}
    assert checkpoint_here("checkpoints", "none.safetensors") is None
