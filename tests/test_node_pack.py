"""The clone as ComfyUI sees it: a package that imports without ComfyUI, under any folder name."""

import ast
import importlib.util
import inspect
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("name", ["vestige", "vestige-1.0"])
def test_the_root_package_imports_without_comfyui(name: str) -> None:
    spec = importlib.util.spec_from_file_location(name, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
        assert inspect.iscoroutinefunction(module.comfy_entrypoint)
        assert not any(loaded.startswith(f"{name}.server") for loaded in sys.modules)
    finally:
        for loaded in [loaded for loaded in sys.modules if loaded == name or loaded.startswith(f"{name}.")]:
            del sys.modules[loaded]


def imports(path: Path) -> set[str]:
    """Top-level names of every absolute import in a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 0}
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize(
    ("side", "banned"),
    [("comfy_nodes", {"server"}), ("server", {"comfy_nodes", "comfy", "comfy_api", "torch"})],
)
def test_the_two_halves_never_import_each_other(side: str, banned: set[str]) -> None:
    found = {str(path): imports(path) & banned for path in (ROOT / side).rglob("*.py")}
    assert {path: names for path, names in found.items() if names} == {}


def test_the_node_pack_is_written_for_python_3_10() -> None:
    for path in [ROOT / "__init__.py", *(ROOT / "comfy_nodes").rglob("*.py")]:
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 10))
