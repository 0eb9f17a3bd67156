"""The model files of the ComfyUI that the pack runs in, and what is remembered about them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ..environment import megabytes
from ..private import private_folder
from .feature_cache import FeatureCache
from .file_hashes import FileHashes
from .fit import Shelf
from .pushed_loras import PushedLoras

__all__ = [
    "adapters_here",
    "checkpoint_here",
    "encoders_here",
    "features_here",
    "files_here",
    "hashes_here",
    "loras_here",
    "pushed_loras_here",
]

PUSHED_VARIABLE = "VESTIGE_LORA_MB"
_PUSHED_MB = 20_480
_ADAPTERS, _ENCODERS = "ipadapter", "clip_vision"
_SAFE = (".safetensors", ".sft")
_PICKLED = (".bin", ".pt", ".pt2", ".pth", ".ckpt", ".pkl")


def adapters_here() -> Shelf:
    """The `ipadapter` folder, which ComfyUI itself does not know: it is `models/ipadapter` unless a pack or an
    `extra_model_paths.yaml` named another.
    """
    import folder_paths

    default = str(Path(folder_paths.models_dir) / _ADAPTERS)
    folder_paths.folder_names_and_paths.setdefault(_ADAPTERS, ([default], set(folder_paths.supported_pt_extensions)))
    return _shelf(_ADAPTERS)


def encoders_here() -> Shelf:
    """The `clip_vision` folder."""
    return _shelf(_ENCODERS)


def loras_here() -> dict[str, Path]:
    """The `loras` folder: names as ComfyUI lists them."""
    return dict(_shelf("loras").files)


def files_here() -> dict[str, dict[str, Path]]:
    """Every file that a render names: folder → name as ComfyUI lists it → path. Only safetensors."""
    shelves = {"checkpoints": _shelf("checkpoints"), _ADAPTERS: adapters_here(), _ENCODERS: encoders_here()}
    return {folder: dict(shelf.files) for folder, shelf in shelves.items()} | {"loras": loras_here()}


def checkpoint_here(folder: str, name: str) -> Path | None:
    """The path of a file that a loader names; None where there is none such."""
    import folder_paths

    path = folder_paths.get_full_path(folder, name)
    return Path(path) if path is not None else None


@cache
def hashes_here() -> FileHashes:
    """Hashes of model files, kept in ComfyUI's user folder."""
    return FileHashes(private_folder("hashes"))


@cache
def pushed_loras_here() -> PushedLoras:
    """What servers sent: `vestige` in ComfyUI's first `loras` folder."""
    import folder_paths

    folder = Path(folder_paths.get_folder_paths("loras")[0]) / "vestige"
    return PushedLoras(folder, megabytes(PUSHED_VARIABLE, _PUSHED_MB), loras_here, hashes_here())


@cache
def features_here() -> FeatureCache:
    """What encoders saw, kept in ComfyUI's user folder."""
    return FeatureCache(private_folder("features"))


def _shelf(folder: str) -> Shelf:
    import folder_paths

    files: dict[str, Path] = {}
    pickled: list[str] = []
    for name in folder_paths.get_filename_list(folder):
        suffix = Path(name).suffix.lower()
        path = folder_paths.get_full_path(folder, name) if suffix in _SAFE else None
        if path is not None:
            files[name] = Path(path)
        elif suffix in _PICKLED:
            pickled.append(name)
    return Shelf(files, tuple(pickled))
