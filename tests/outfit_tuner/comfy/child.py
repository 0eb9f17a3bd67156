"""Sets a child process up: ComfyUI's modules from the folder it runs in, on the CPU, and the node pack beside them.

The pack is loaded as a package of its own, as ComfyUI loads it: the repository's root must not be on the path, where
its `server` would hide ComfyUI's.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[3]


def load_package(name: str, folder: Path) -> ModuleType:
    """A folder with an `__init__.py` as the package `name`."""
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def prepare(*, cpu: bool = True) -> None:
    """Before anything of ComfyUI or the pack is imported. Without `cpu` ComfyUI takes the GPU there is."""
    sys.path = [str(Path.cwd()), *(entry for entry in sys.path if entry and Path(entry).resolve() != ROOT)]
    from comfy.cli_args import args

    args.cpu = cpu  # before anything looks for a device
    args.use_pytorch_cross_attention = True
    load_package("comfy_nodes", ROOT / "comfy_nodes")
