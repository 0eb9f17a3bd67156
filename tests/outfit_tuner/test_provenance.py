"""Which file a MODEL came from: found where the graph tells it, and never guessed."""

from typing import Any

import pytest

from comfy_nodes.outfit_tuner.provenance import ModelFile, model_file

LOADER = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "halina.safetensors"}}
FOUND = ModelFile("checkpoints", "halina.safetensors")


def node(**inputs: Any) -> dict[str, Any]:
    return {"class_type": "Any", "inputs": inputs}


@pytest.mark.parametrize(
    ("graph", "found"),
    [
        ({"1": LOADER}, FOUND),
        ({"1": node(model=["2", 0], b1=1.3), "2": LOADER}, FOUND),
        ({"1": node(model=["2", 0], clip=["3", 1]), "2": node(model=["3", 0]), "3": LOADER}, FOUND),
        ({"1": node(model=["3", 0], models=["2", 0]), "2": node(), "3": LOADER}, FOUND),
        ({"1": node(unet_name="flux.safetensors")}, ModelFile("diffusion_models", "flux.safetensors")),
        ({"1": node(model1=["2", 0], model2=["2", 0]), "2": LOADER}, None),
        ({"1": node(model=["2", 0], model_b=["2", 0]), "2": LOADER}, None),
        ({"1": node(model=["1", 0])}, None),
        ({"1": node(model=["9", 0])}, None),
        ({"1": node(model="halina.safetensors")}, None),
        ({"1": node(ckpt_name=["2", 0]), "2": node(value="halina.safetensors")}, None),
        ({"1": node(ckpt_name="a.safetensors", unet_name="b.safetensors")}, None),
        ({"1": node(other="x")}, None),
        ({}, None),
    ],
)
def test_the_way_back_to_a_file(graph: dict[str, Any], found: ModelFile | None) -> None:
    assert model_file(["1", 0], graph.get) == found


@pytest.mark.parametrize("link", [None, "1", 1, [], ["1"], [1, 0], ["1", 0, 0]])
def test_what_is_no_link_leads_nowhere(link: object) -> None:
    assert model_file(link, {"1": LOADER}.get) is None
