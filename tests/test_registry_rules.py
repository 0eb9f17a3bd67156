"""What ComfyUI's registry asks of a node pack, and good manners among packs."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FILES = [ROOT / "__init__.py", ROOT / "install.py", *sorted((ROOT / "comfy_nodes").rglob("*.py"))]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_nothing_is_evaluated_or_installed_at_run_time(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    called = {
        node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute)
    }
    named = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    imported = {
        part.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for part in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    assert not named & {"eval", "exec", "compile", "__import__"}
    assert not called & {"system", "popen"}
    assert not imported & {"subprocess", "pip", "pickle", "marshal"}


def test_the_pack_asks_for_little_and_pins_nothing() -> None:
    wanted = PROJECT["project"]["dependencies"]
    assert all(re.fullmatch(r"[A-Za-z0-9]+", one) for one in wanted), wanted
    assert not {"torch", "torchvision"} & {one.lower() for one in wanted}
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#")] == wanted


def test_what_comes_with_the_standard_library_or_comfyui_is_all_that_is_imported() -> None:
    wanted = {one.lower() for one in PROJECT["project"]["dependencies"]} | {"pil"}
    host = {"torch", "comfy", "comfy_api", "comfy_execution", "folder_paths", "nodes", "execution", "aiohttp", "yaml"}
    found = set()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add((node.module or "").split(".")[0])
    brought_by_others = {"cv2"}  # used where it is there
    known = wanted | host | brought_by_others | {"comfy_nodes"} | {one.lower() for one in sys.stdlib_module_names}
    assert {one for one in found if one.lower() not in known} == set()


def test_the_registry_knows_who_and_for_what() -> None:
    comfy = PROJECT["tool"]["comfy"]
    assert comfy["PublisherId"]
    assert comfy["DisplayName"] == "Vestige"
    assert comfy["requires-comfyui"].startswith(">=")
    assert "web" not in comfy, "with WEB_DIRECTORY the pages would be served twice"


def test_the_registry_s_package_has_the_pack_and_leaves_the_server_out() -> None:
    ignored = (ROOT / ".comfyignore").read_text(encoding="utf-8").splitlines()
    assert {"/server/", "/tests/"} <= set(ignored)
    assert not {"/comfy_nodes/", "/workflows/", "/install.py", "/requirements.txt", "/__init__.py"} & set(ignored)
