"""Tuning Preset, Tuning Values and Save Tuning Preset in a real ComfyUI."""

import hashlib
import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.comfyui.client import Comfy, GraphFailed, GraphRefused, Run
from tests.comfyui.conftest import PACK_TOKEN
from tests.comfyui.graphs import Graph, Node
from tests.comfyui.host import ComfyUI
from tests.comfyui.outfits import VALUES, Wardrobe, wardrobe


@pytest.fixture
def name() -> str:
    return f"dress-{uuid.uuid4().hex[:8]}"


def file(comfyui: ComfyUI, name: str, version: int) -> Path:
    return comfyui.base / "user" / "__vestige" / "presets" / name / f"v{version}.json"


def sha256(comfyui: ComfyUI, folder: str, name: str) -> str:
    return hashlib.sha256((comfyui.base / "models" / folder / name).read_bytes()).hexdigest()


async def loaded(comfy: Comfy, preset: str, **more: Any) -> dict[str, Any]:
    graph = Graph()
    tuning = graph.add("Vestige_TuningPreset", preset=preset, **{"on_misfit": "refuse"} | more)
    report = graph.add("Tiny_Report", value=tuning)
    return (await comfy.run(graph)).report(report)


def save(outfit: Wardrobe, tuning: Node, name: str, notes: str = "", **wired: Any) -> Node:
    return outfit.graph.add("Vestige_SaveTuningPreset", tuning=tuning, name=name, notes=notes, **wired)


def ran(outfit: Wardrobe, run: Run) -> set[str]:
    return {outfit.graph.nodes[node]["class_type"] for node in run.executed if node in outfit.graph.nodes}


async def test_what_is_saved_is_listed_loaded_and_shown(comfy: Comfy, comfyui: ComfyUI, name: str) -> None:
    outfit = wardrobe()
    chain = outfit.chain(outfit.values())
    save(outfit, outfit.values(weight=0.55, freeu=True), name, "Hem kept.", model=chain[0], models=outfit.models)
    run = await comfy.run(outfit.graph)
    assert not any(node.startswith(chain.id) for node in run.executed)  # only the way to its file was needed

    document = json.loads(file(comfyui, name, 1).read_text())
    assert document["pins"] == {
        "base_family": "sd15",
        "base": sha256(comfyui, "checkpoints", "tiny-sd15.safetensors"),
        "adapter": sha256(comfyui, "ipadapter", "glove.safetensors"),
        "encoder": sha256(comfyui, "clip_vision", "lens-a.safetensors"),
    }
    assert (document["values"]["weight"], document["notes"]) == (0.55, "Hem kept.")

    options = (await comfy.node_info("Vestige_TuningPreset"))["input"]["required"]["preset"]
    listed = options[1]["options"] if options[0] == "COMBO" else options[0]
    assert {f"{name}@1", f"{name}@latest", "starter-sdxl-realistic@1"} <= set(listed)
    said = await loaded(comfy, f"{name}@1")
    assert said["values"]["weight"] == 0.55
    assert said["origin"] == f"{name}@1"

    graph = Graph()
    tuning = graph.add("Vestige_TuningPreset", preset=f"{name}@latest", on_misfit="refuse")
    graph.add("Tiny_Report", value=tuning)
    [shown] = (await comfy.run(graph)).ui[tuning.id]["vestige_tuning"]
    assert (shown["origin"], shown["notes"], shown["values"]["weight"]) == (f"{name}@1", "Hem kept.", 0.55)


async def test_a_version_that_was_added_is_seen_by_latest(comfy: Comfy, comfyui: ComfyUI, name: str) -> None:
    outfit = wardrobe()
    values = outfit.values()
    saving = save(outfit, values, name)
    await comfy.run(outfit.graph)
    assert (await loaded(comfy, f"{name}@latest"))["origin"] == f"{name}@1"
    outfit.graph.set(values, weight=0.45)
    await comfy.run(outfit.graph)
    assert (await loaded(comfy, f"{name}@latest"))["origin"] == f"{name}@2"
    assert (await loaded(comfy, f"{name}@1"))["values"]["weight"] == VALUES["weight"]
    assert json.loads(file(comfyui, name, 1).read_text())["pins"]["base"] is None  # nothing was wired

    again = wardrobe()  # another graph, nothing cached: the newest says it already
    save(again, again.values(weight=0.45), name)
    await comfy.run(again.graph)
    assert not file(comfyui, name, 3).exists()
    child = wardrobe()
    begun = child.graph.add("Vestige_TuningPreset", preset=f"{name}@1", on_misfit="refuse")
    saving = save(child, begun, name)
    run = await comfy.run(child.graph)
    assert run.ui[saving.id]["text"] == [f"{name}@3"]
    assert json.loads(file(comfyui, name, 3).read_text())["parent"] == f"{name}@1"


async def test_a_merge_has_no_file_and_gets_no_hash(comfy: Comfy, comfyui: ComfyUI, name: str) -> None:
    outfit = wardrobe()
    merged = outfit.graph.add("ModelMergeSimple", model1=outfit.checkpoint[0], model2=outfit.checkpoint[0], ratio=0.5)
    save(outfit, outfit.values(), name, model=merged)
    await comfy.run(outfit.graph)
    pins = json.loads(file(comfyui, name, 1).read_text())["pins"]
    assert pins == {"base_family": None, "base": None, "adapter": None, "encoder": None}


@pytest.mark.parametrize("node", ["Vestige_OutfitChain", "Vestige_OutfitSweep", "Vestige_ApplyOutfit"])
async def test_pins_that_differ_are_refused_before_anything_loads(
    comfy: Comfy, comfyui: ComfyUI, name: str, node: str
) -> None:
    outfit = wardrobe()
    save(outfit, outfit.values(), name, model=outfit.checkpoint[0], models=outfit.models)
    await comfy.run(outfit.graph)

    other = wardrobe(adapter="scarf.safetensors")
    tuning = other.graph.add("Vestige_TuningPreset", preset=f"{name}@1", on_misfit="refuse")
    consumer = wear(other, node, tuning)
    with pytest.raises(GraphFailed, match=rf"{name}@1 does not fit: the IP-Adapter is .* tuned on") as failed:
        await comfy.run(other.graph)
    assert ran(other, failed.value.run) <= {"Vestige_TuningPreset", node}
    assert misfits_told(failed.value.run, consumer) == [1]

    other.graph.set(tuning, on_misfit="warn")
    run = await comfy.run(other.graph)
    assert set(misfits_told(run, consumer)) == {1}
    assert "does not fit: the IP-Adapter is" in comfyui.news()


async def test_a_family_that_differs_is_refused_before_anything_loads(comfy: Comfy) -> None:
    outfit = wardrobe()
    tuning = outfit.graph.add("Vestige_TuningPreset", preset="starter-sdxl-realistic@1", on_misfit="refuse")
    wear(outfit, "Vestige_OutfitChain", tuning)
    with pytest.raises(GraphFailed, match=r"the base family is Stable Diffusion 1\.5 .* tuned on SDXL") as failed:
        await comfy.run(outfit.graph)
    assert ran(outfit, failed.value.run) <= {"Vestige_TuningPreset", "Vestige_OutfitChain"}


async def test_an_adapter_found_by_auto_is_compared_once_it_is_known(comfy: Comfy, name: str) -> None:
    outfit = wardrobe()
    save(outfit, outfit.values(), name, models=outfit.models)
    await comfy.run(outfit.graph)
    other = wardrobe(adapter="auto")
    other.graph.set(other.models, model=other.checkpoint[0], encoder="auto")
    tuning = other.graph.add("Vestige_TuningPreset", preset=f"{name}@1", on_misfit="refuse")
    wear(other, "Vestige_OutfitChain", tuning)
    run = await comfy.run(other.graph)  # glove is what auto finds for this checkpoint
    assert misfits_told(run, other.graph.find("Vestige_OutfitChain"))[-1] == 0


def wear(outfit: Wardrobe, node: str, tuning: Node) -> Node:
    """Wires the node that uses a tuning to something that needs it."""
    if node == "Vestige_OutfitSweep":
        return outfit.sweep(tuning, "none", x_values="0.4", y_axis="none")
    if node == "Vestige_OutfitChain":
        dressed = outfit.chain(tuning, "none")
    else:
        dressed = outfit.graph.add(
            node, model=outfit.checkpoint[0], models=outfit.models, features=outfit.features, tuning=tuning
        )
    outfit.graph.add("Tiny_Report", value=dressed)
    return dressed


def misfits_told(run: Run, node: Node) -> list[int]:
    """How many misfits the editor was told of for this node, each time it was told."""
    return [
        len(message["data"]["misfits"])
        for message in run.messages
        if message["type"] == "vestige.misfits" and message["data"]["node"] == node.id
    ]


@pytest.mark.parametrize(
    ("preset", "message"),
    [
        ("nothing@1", "There is no preset 'nothing'"),
        ("starter-sdxl-anime@9", "has no version 9"),
        ("../../x@1", "cannot be a preset's name"),
        ("", "cannot be a preset's name"),
    ],
)
async def test_a_preset_that_is_not_there_is_refused_before_it_is_queued(
    comfy: Comfy, preset: str, message: str
) -> None:
    with pytest.raises(GraphRefused, match=message):
        await loaded(comfy, preset)


async def test_they_are_served_to_who_has_the_token(comfy: Comfy, name: str) -> None:
    outfit = wardrobe()
    save(outfit, outfit.values(), name)
    await comfy.run(outfit.graph)
    for path in ("/vestige/presets", "/api/vestige/presets"):
        async with comfy.http.get(path, headers={"Authorization": f"Bearer {PACK_TOKEN}"}) as response:
            assert f"{name}@1" in [preset["origin"] for preset in (await response.json())["presets"]]
        async with comfy.http.get(path) as response:
            assert response.status == 401


async def test_damaged_and_newer_files_are_refused_and_listed_by_name(
    comfy: Comfy, comfyui: ComfyUI, name: str
) -> None:
    path = file(comfyui, name, 1)
    path.parent.mkdir(parents=True)
    path.write_text('{"format": 7}')
    with pytest.raises(GraphRefused, match="of format 7 and this version of Vestige reads formats up to 1"):
        await loaded(comfy, f"{name}@1")
    path.write_text("{")
    with pytest.raises(GraphRefused, match=f"{name}@1 is damaged"):
        await loaded(comfy, f"{name}@latest")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"start_at": 0.9}, "start_at 0.9 is after end_at 0.8"),
        ({"layer_weights": "much"}, "layer_weights has 'much'"),
        ({"weight": 9}, "between -5.0 and 5.0"),
        ({"weight_type": "liner"}, "'liner'"),
        ({"freeu": True, "freeu_b1": 11}, "freeu.b1 is 11"),
    ],
)
async def test_values_that_cannot_be_are_refused_before_anything_is_queued(
    comfy: Comfy, values: dict[str, Any], message: str
) -> None:
    graph = Graph()
    graph.add("Tiny_Report", value=graph.add("Vestige_TuningValues", **VALUES | values))
    with pytest.raises(GraphRefused, match=message):
        await comfy.run(graph)


async def test_a_name_that_cannot_be_is_said(comfy: Comfy) -> None:
    outfit = wardrobe()
    save(outfit, outfit.values(), "My Dress")
    with pytest.raises(GraphFailed, match="'My Dress' cannot be a preset's name"):
        await comfy.run(outfit.graph)
