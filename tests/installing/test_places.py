"""A ComfyUI is found where a person says it is, and its models wherever it keeps them."""

from pathlib import Path

import pytest

from comfy_nodes.installing.errors import InstallError
from comfy_nodes.installing.linking import link
from comfy_nodes.installing.places import find_comfyui, surrounding


@pytest.mark.parametrize("typed", ["{root}", "{root}/", '"{root}"', " {root}", "{parent}"])
def test_it_is_found_as_a_person_types_it(comfyui: Path, typed: str) -> None:
    assert find_comfyui(typed.format(root=comfyui, parent=comfyui.parent)).root == comfyui


@pytest.mark.parametrize("typed", ["", "/nowhere", "{root}/models"])
def test_another_folder_is_refused(comfyui: Path, typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(comfyui / "models")
    with pytest.raises(InstallError, match=r"main\.py"):
        find_comfyui(typed.format(root=comfyui))


def test_folders_of_extra_model_paths_count(comfyui: Path, tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    for name in ("one", "two"):
        (tmp_path / "shared" / name).mkdir(parents=True)
    (comfyui / "extra_model_paths.yaml").write_text(
        f"a1111:\n  base_path: {tmp_path}/shared\n  is_default: true\n  ipadapter: |\n    one\n    two\n    missing\n"
    )
    shared = tmp_path / "shared"
    assert find_comfyui(str(comfyui)).folders("ipadapter") == (
        comfyui / "models" / "ipadapter",
        shared / "one",
        shared / "two",
    )


@pytest.mark.parametrize("broken", ["a: [", "- a list", "\x00", "just words"])
def test_a_broken_extra_model_paths_is_named(comfyui: Path, broken: str) -> None:
    pytest.importorskip("yaml")
    (comfyui / "extra_model_paths.yaml").write_text(broken)
    found = find_comfyui(str(comfyui))
    assert found.note is not None
    assert "extra_model_paths.yaml" in found.note


def test_a_clone_in_custom_nodes_knows_its_comfyui(comfyui: Path, pack: Path) -> None:
    clone = comfyui / "custom_nodes" / "vestige-1.0"
    clone.mkdir()
    found = surrounding(clone)
    assert found is not None
    assert found.root == comfyui
    assert surrounding(pack) is None
    assert "already" in link(clone, found)


def test_the_pack_is_linked_once(comfyui: Path, pack: Path) -> None:
    place = find_comfyui(str(comfyui))
    assert link(pack, place).startswith("Linked")
    assert (comfyui / "custom_nodes" / "vestige").resolve() == pack
    assert "already" in link(pack, place)


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_something_else_of_that_name_stays(comfyui: Path, pack: Path, kind: str) -> None:
    target = comfyui / "custom_nodes" / "vestige"
    match kind:
        case "folder":
            target.mkdir()
        case "file":
            target.write_text("mine")
        case _:
            target.symlink_to("/nowhere")
    with pytest.raises(InstallError, match="move it away"):
        link(pack, find_comfyui(str(comfyui)))
    assert target.is_symlink() == (kind == "dangling link")
