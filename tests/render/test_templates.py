"""The shipped graphs hold slots where somebody's values would be, and links that resolve; how slots are filled."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from server.render.templates import FOLDER, TemplateError, read_template

SHIPPED = sorted(path.stem for path in FOLDER.glob("*.json"))
# What is no slot, because another value would be another graph. Nothing else in a template is a plain value.
CONSTANTS: dict[tuple[str, str], object] = {
    ("EmptyLatentImage", "batch_size"): 1,
    ("KSampler", "denoise"): 1.0,
    ("IPAdapterAdvanced", "combine_embeds"): "concat",
    ("PrepImageForClipVision", "interpolation"): "LANCZOS",
    ("PrepImageForClipVision", "crop_position"): "pad",
    ("PrepImageForClipVision", "sharpening"): 0.0,
    ("Vestige_EncodeReference", "weight"): 1.0,
    ("Vestige_LoadCharacterLora", "other_lineage"): False,
    ("Vestige_LoadReference", "fit"): "pad",
    ("Vestige_OutfitChain", "other_lineage"): False,
    ("Vestige_TuningValues", "combine"): "concat",
}


def test_these_are_shipped() -> None:
    assert SHIPPED == [
        "character_portrait",
        "character_portrait_core",
        "outfit_preview",
        "outfit_preview_ipadapter_plus",
    ]


@pytest.mark.parametrize("name", SHIPPED)
def test_slots_are_still_slots(name: str) -> None:
    for node_id, node in read_template(name).nodes.items():
        for key, value in node["inputs"].items():
            if isinstance(value, list):
                continue
            constant = CONSTANTS.get((node["class_type"], key))
            if constant is None:
                assert re.fullmatch("<tune:[a-z0-9_]+>", str(value)), f"{node_id}.{key} holds a value: {value!r}"
            else:
                assert value == constant, f"{node_id}.{key}"


@pytest.mark.parametrize("name", SHIPPED)
def test_a_template_saves_one_picture_and_every_node_leads_to_it(name: str) -> None:
    nodes = read_template(name).nodes
    assert [node_id for node_id, node in nodes.items() if node["class_type"] == "SaveImage"] == ["picture"]
    reached, todo = set(), ["picture"]
    while todo:
        node_id = todo.pop()
        reached.add(node_id)
        todo += [value[0] for value in nodes[node_id]["inputs"].values() if isinstance(value, list)]
    assert reached == set(nodes)
    assert all(node["_meta"]["title"] for node in nodes.values())


def test_a_host_without_our_pack_can_run_the_one_made_for_it() -> None:
    nodes = read_template("outfit_preview_ipadapter_plus").nodes.values()
    assert not [node for node in nodes if node["class_type"].startswith("Vestige_")]
    assert any(node["class_type"] == "IPAdapterAdvanced" and "clip_vision" in node["inputs"] for node in nodes)


def test_every_slot_is_explained() -> None:
    _, table = (FOLDER / "README.md").read_text(encoding="utf-8").split("| slot |")
    explained = set(re.findall(r"^\| `([a-z0-9_]+)` \|", table, re.MULTILINE))
    used = {slot for name in SHIPPED for slot in read_template(name).slots}
    assert explained == used


GRAPH = {
    "a": {"class_type": "Load", "inputs": {"name": "<tune:file>"}},
    "b": {
        "class_type": "Change",
        "inputs": {"model": ["a", 0], "clip": ["a", 1], "strength": "<tune:strength>"},
        "_meta": {"title": "Change", "optional": True},
    },
    "c": {"class_type": "Change", "inputs": {"model": ["b", 0]}, "_meta": {"title": "More", "optional": True}},
    "d": {"class_type": "Save", "inputs": {"model": ["c", 0], "clip": ["b", 1], "name": "<tune:file>", "kept": 1}},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.json").write_text(json.dumps(GRAPH))
    return tmp_path


def test_filling(folder: Path) -> None:
    template = read_template("small", folder)
    assert template.slots == {"file", "strength"}
    filled = template.fill({"file": "x <tune:strength>", "strength": 0.5})
    assert filled["a"]["inputs"] == {"name": "x <tune:strength>"}
    assert filled["b"]["inputs"] == {"model": ["a", 0], "clip": ["a", 1], "strength": 0.5}
    assert filled["d"]["inputs"] == {"model": ["c", 0], "clip": ["b", 1], "name": "x <tune:strength>", "kept": 1}
    assert template.nodes == GRAPH


@pytest.mark.parametrize(
    ("without", "model", "clip"),
    [(["c"], ["b", 0], ["b", 1]), (["b"], ["c", 0], ["a", 1]), (["b", "c"], ["a", 0], ["a", 1])],
)
def test_leaving_out(folder: Path, without: list[str], model: list[Any], clip: list[Any]) -> None:
    filled = read_template("small", folder).fill({"file": "x", "strength": 1}, leave_out=without)
    assert filled.keys() == GRAPH.keys() - set(without)
    assert (filled["d"]["inputs"]["model"], filled["d"]["inputs"]["clip"]) == (model, clip)


@pytest.mark.parametrize(
    ("values", "without", "message"),
    [
        ({"file": "x"}, [], "no value for strength"),
        ({"file": "x", "strength": 1, "weight": 1}, [], "no slot for weight"),
        ({"file": ["a", 0], "strength": 1}, [], "not so file"),
        ({"file": None, "strength": 1}, [], "not so file"),
        ({"file": "x", "strength": float("nan")}, [], "not so strength"),
        ({"file": "x", "strength": 1}, ["a", "z"], "cannot do without a, z"),
    ],
)
def test_values_that_do_not_fit(folder: Path, values: dict[str, Any], without: list[str], message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        read_template("small", folder).fill(values, leave_out=without)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "no graph"),
        ('{"a": {"class_type": "X"}}', "no graph"),
        ('{"nodes": [], "links": []}', "no graph"),
        ('{"a": {"class_type": "X", "inputs": {"m": ["b", 0]}}}', "m of a is linked to nothing"),
        ('{"a": {"class_type": "X", "inputs": {"m": ["a"]}}}', "m of a is linked to nothing"),
        (
            '{"a": {"class_type": "X", "inputs": {}, "_meta": {"optional": true}},'
            ' "b": {"class_type": "X", "inputs": {"m": ["a", 0]}}}',
            "a cannot be optional",
        ),
    ],
)
def test_files_that_are_no_template(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(TemplateError, match=message):
        read_template("bad", tmp_path)
    with pytest.raises(TemplateError, match="cannot be read"):
        read_template("missing", tmp_path)
