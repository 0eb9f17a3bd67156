"""Load Outfit Models, Load Character LoRA and Encode Reference, by graph, on a real ComfyUI."""

import pytest

from tests.comfyui.client import Comfy, GraphFailed, GraphRefused, Run
from tests.comfyui.graphs import Graph, Node


async def models(comfy: Comfy, checkpoint: str | None, **choice: str) -> tuple[Run, Node, Node]:
    graph = Graph()
    inputs = {} if checkpoint is None else {"model": graph.checkpoint(checkpoint)[0]}
    pair = graph.add("Vestige_LoadOutfitModels", **{"adapter": "auto", "encoder": "auto", **choice}, **inputs)
    loaded, fitting = graph.add("Tiny_Report", value=pair[0]), graph.add("Tiny_Report", value=pair[1])
    return await comfy.run(graph), loaded, fitting


@pytest.mark.parametrize(
    ("checkpoint", "choice", "uses"),
    [
        ("tiny-sdxl", {}, "hat.safetensors with lens-a.safetensors"),
        ("tiny-sd15", {}, "glove.safetensors with lens-a.safetensors"),
        ("tiny-sdxl", {"adapter": "boot.safetensors"}, "boot.safetensors with lens-b.safetensors"),
        (None, {"adapter": "scarf.safetensors"}, "scarf.safetensors with lens-a.safetensors"),
    ],
)
async def test_the_pair_that_fits_is_found_by_content(
    comfy: Comfy, checkpoint: str | None, choice: dict[str, str], uses: str
) -> None:
    run, loaded, fitting = await models(comfy, checkpoint, **choice)
    said = run.report(loaded)
    assert said["is"] == "OutfitModels"
    assert said["adapter"]["is"] == "Adapter"
    assert len(said["encoder_sha256"]) == 64
    text = run.report(fitting)
    assert text.splitlines()[0] == f"Uses {uses}."
    if checkpoint == "tiny-sdxl":
        assert "✗ glove.safetensors is made for Stable Diffusion 1.5, and the checkpoint is SDXL" in text


@pytest.mark.parametrize(
    ("checkpoint", "choice", "says"),
    [
        (
            "tiny-sdxl",
            {"adapter": "glove.safetensors"},
            "glove.safetensors is made for Stable Diffusion 1.5, and the checkpoint is SDXL: use boot.safetensors, ",
        ),
        (
            "tiny-sdxl",
            {"adapter": "hat.safetensors", "encoder": "lens-b.safetensors"},
            "hat.safetensors works with CLIP with 64 hidden channels, and this encoder is CLIP with 96 hidden and 80 "
            "pooled channels: use lens-a.safetensors.",
        ),
        (None, {}, "Which IP-Adapter fits depends on the checkpoint: connect the model, or choose "),
    ],
)
async def test_what_does_not_fit_is_refused_with_what_would(
    comfy: Comfy, checkpoint: str | None, choice: dict[str, str], says: str
) -> None:
    with pytest.raises(GraphFailed) as failed:
        await models(comfy, checkpoint, **choice)
    assert failed.value.class_type == "Vestige_LoadOutfitModels"
    assert failed.value.message.startswith(says)


async def test_a_file_that_is_not_there_is_refused_before_it_is_queued(comfy: Comfy) -> None:
    with pytest.raises(GraphRefused, match=r"There is no gone\.safetensors in the ipadapter folder: choose another"):
        await models(comfy, "tiny-sdxl", adapter="gone.safetensors")


def with_lora(graph: Graph, checkpoint: Node, **inputs: object) -> Node:
    defaults = {"version": "live", "strength_model": 1.0, "strength_clip": 1.0, "other_lineage": False}
    wired = {"model": checkpoint[0], "clip": checkpoint[1], "character": "mira", **defaults, **inputs}
    return graph.add("Vestige_LoadCharacterLora", **wired)


@pytest.mark.parametrize(("version", "number"), [("live", 2), ("1", 1), ("v2", 2)])
async def test_a_version_of_a_character_goes_on_the_model(comfy: Comfy, version: str, number: int) -> None:
    graph = Graph()
    lora = with_lora(graph, graph.checkpoint(), version=version)
    model, loaded = graph.add("Tiny_Report", value=lora[0]), graph.add("Tiny_Report", value=lora[2])
    run = await comfy.run(graph)
    assert run.report(model)["weights_patched"] == {"1": 700}
    assert run.report(loaded).startswith(f"mira v{number} (mira_v{number}.safetensors), trained on ")


async def test_it_is_what_comfyuis_own_loader_makes_of_the_file(comfy: Comfy) -> None:
    graph = Graph()
    checkpoint = graph.checkpoint()
    ours = with_lora(graph, checkpoint, version="1", strength_model=0.7, strength_clip=0.6)
    theirs = graph.add(
        "LoraLoader", model=checkpoint[0], clip=checkpoint[1], lora_name="mira_v1.safetensors",
        strength_model=0.7, strength_clip=0.6,
    )  # fmt: skip
    shown = [graph.picture(lora[0], lora[1], checkpoint[2]) for lora in (ours, theirs)]
    run = await comfy.run(graph)
    one, other = [(await comfy.pictures(run, node))[0].tobytes() for node in shown]
    assert one == other


async def test_without_clip_and_at_strength_nothing(comfy: Comfy) -> None:
    graph = Graph()
    checkpoint = graph.checkpoint()
    lora = with_lora(graph, checkpoint, strength_model=0.0)
    graph.nodes[lora.id]["inputs"].pop("clip")
    model, loaded = graph.add("Tiny_Report", value=lora[0]), graph.add("Tiny_Report", value=lora[2])
    run = await comfy.run(graph)
    assert run.report(model)["weights_patched"] == {}
    assert run.report(loaded).endswith("at strength 0 it changes nothing")


async def test_a_lora_of_another_architecture_is_refused_before_its_weights_are_read(comfy: Comfy) -> None:
    graph = Graph()
    graph.add("Tiny_Report", value=with_lora(graph, graph.checkpoint("tiny-sdxl"), character="otis")[0])
    with pytest.raises(GraphFailed) as failed:
        await comfy.run(graph)
    assert failed.value.message == (
        "otis_v1.safetensors was trained for Stable Diffusion 1.5, and the checkpoint is SDXL: use a version trained "
        "for this checkpoint, or allow another lineage on this node."
    )


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({"character": "nobody"}, "There is no LoRA of 'nobody'"),
        ({"version": "9"}, "There is no v9 of mira: choose live or one of v1, v2"),
        ({"version": "newest"}, "The version is 'newest': write live, or a number such as 3"),
    ],
)
async def test_who_is_not_there_is_refused_before_it_is_queued(comfy: Comfy, inputs: dict[str, str], says: str) -> None:
    graph = Graph()
    graph.add("Tiny_Report", value=with_lora(graph, graph.checkpoint(), **inputs)[0])
    with pytest.raises(GraphRefused, match=says):
        await comfy.run(graph)
