"""The example workflows for the editor: whole, with a picture each, and nobody's own files or numbers in them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

FOLDER = Path(__file__).parents[2] / "workflows"
EXAMPLES = sorted(FOLDER.glob("*.json"))
PUBLIC = {"sd_xl_base_1.0.safetensors", "example.png"}  # a checkpoint to begin with, and ComfyUI's own picture
FILE = re.compile(r"\S+\.(?:safetensors|ckpt|pt|bin|png|jpe?g|webp)")


def widgets(workflow: dict[str, Any]) -> list[Any]:
    """Values of all nodes that are run."""
    return [
        value
        for node in workflow["nodes"]
        if node["type"] != "MarkdownNote"
        for value in node.get("widgets_values") or []
    ]


def test_there_are_examples_and_nothing_else_that_the_editor_would_list() -> None:
    assert [path.stem for path in EXAMPLES] == ["Dress a character", "Find the numbers", "Outfit step by step"]
    assert {path.name for path in FOLDER.iterdir()} == {"api"} | {
        f"{path.stem}{suffix}" for path in EXAMPLES for suffix in (".json", ".jpg")
    }


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_is_whole(path: Path) -> None:
    workflow = json.loads(path.read_text(encoding="utf-8"))
    nodes = {node["id"]: node for node in workflow["nodes"]}
    for _, source, output, target, entry, kind in workflow["links"]:
        assert nodes[source]["outputs"][output]["type"] == kind
        assert nodes[target]["inputs"][entry]["type"] == kind
    assert any(node["type"] == "MarkdownNote" for node in nodes.values())
    assert workflow["groups"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_holds_nothing_of_its_author(path: Path) -> None:
    workflow = json.loads(path.read_text(encoding="utf-8"))
    texts = [value for value in widgets(workflow) if isinstance(value, str)]
    assert {file for text in texts for file in FILE.findall(text)} <= PUBLIC
    assert not [text for text in texts if re.search(r"https?:|[/\\]home[/\\]|[0-9a-f]{64}", text)]
    assert workflow["extra"] == {}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_its_picture(path: Path) -> None:
    with Image.open(path.with_suffix(".jpg")) as picture:
        assert picture.format == "JPEG"
        assert min(picture.size) >= 400
        assert not picture.getexif()
    assert path.with_suffix(".jpg").stat().st_size < 120_000
