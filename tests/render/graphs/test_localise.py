"""A graph as one host is sent it: its own names for the same contents, or one sentence that says what it lacks."""

from typing import Any

import pytest
from hypothesis import given

from server.errors import GraphRejected
from server.render.graphs.build import build
from server.render.graphs.key import Hashes, preview_key
from server.render.graphs.localise import localise
from server.render.graphs.nodes import Graph, Node
from server.render.graphs.offer import Offer
from server.render.graphs.request import LoraVersion, PictureRequest
from tests.render.graphs.asking import DRESS, REQUESTS, asked
from tests.render.graphs.described import ADAPTERS, CHECKPOINTS, ENCODERS, LORAS, described

EVERYWHERE: dict[tuple[str, str], str | None] = {
    ("checkpoints", CHECKPOINTS[1]): "2" * 64,
    ("ipadapter", ADAPTERS[0]): "3" * 64,
    ("clip_vision", ENCODERS[0]): "5" * 64,
}


def offer(hashes: Hashes | None = None, **how: Any) -> Offer:
    return Offer("gpu1", described(**how), hashes or {})


@pytest.mark.parametrize("new", [False, True])
@pytest.mark.parametrize("template", ["outfit_preview", "outfit_preview_ipadapter_plus", "character_portrait"])
def test_a_host_is_sent_what_it_takes(new: bool, template: str) -> None:
    local = localise(build(asked(template=template)), offer(new=new), {})
    assert local["checkpoint"]["inputs"]["ckpt_name"] == "sdxl.safetensors"
    assert local["positive"]["inputs"]["text"] == "standing in a garden"
    assert local["picture"]["class_type"] == "SaveImage"
    assert local["sampler"]["inputs"]["latent_image"] == ["latent", 0]
    match template:
        case "outfit_preview":
            assert local["outfit"]["inputs"]["character"] == "mira"
            assert local["reference"]["inputs"]["picture"] == f"vestige/{DRESS}.png"
        case "outfit_preview_ipadapter_plus":
            assert local["lora"]["inputs"]["lora_name"] == "mira_v3.safetensors"
        case _:
            assert local["character"]["inputs"] | {"character": "mira", "version": "3"} == local["character"]["inputs"]


@given(request=REQUESTS)
def test_hosts_that_list_the_same_contents_otherwise_make_the_same_picture(request: PictureRequest) -> None:
    """One key, whatever the hosts call their files; and each is sent names of its own."""
    graph = build(request)
    windows = offer(
        {("checkpoints", "models\\x.safetensors"): "2" * 64, ("checkpoints", "y.safetensors"): "1" * 64},
        checkpoints=["models\\x.safetensors", "y.safetensors"],
    )
    hashes = EVERYWHERE | {("checkpoints", CHECKPOINTS[0]): "1" * 64}
    one, other = localise(graph, offer(), hashes), localise(graph, windows, hashes)
    assert other["checkpoint"]["inputs"]["ckpt_name"] in ("models\\x.safetensors", "y.safetensors")
    assert {name: node for name, node in one.items() if name != "checkpoint"} == {
        name: node for name, node in other.items() if name != "checkpoint"
    }
    assert preview_key(graph, hashes) == preview_key(build(request), hashes)


@pytest.mark.parametrize(
    ("changed", "how", "message"),
    [
        (
            {"checkpoint": "x.safetensors"},
            {},
            "gpu1 has no checkpoint 'x.safetensors': put it into its models/checkpoints, or choose one of "
            "pony/halina-base.safetensors, sdxl.safetensors.",
        ),
        (
            {"lora": LoraVersion("mira", 4)},
            {},
            "gpu1 has no character 'mira@4': put it into its models/loras",
        ),
        ({"lora": LoraVersion("nobody", 1)}, {}, "gpu1 has no character 'nobody@1'"),
        (
            {"template": "outfit_preview_ipadapter_plus", "lora": LoraVersion("mira", 4)},
            {},
            "gpu1 has no LoRA 'mira@4': put it into its models/loras, or choose one of mira_v3.safetensors, "
            "people/otis/v2.safetensors.",
        ),
        ({}, {"adapters": []}, "gpu1 has no IP-Adapter 'ip-adapter-plus_sdxl_vit-h.safetensors': put it into its "
            "models/ipadapter, there is none yet."),
        ({}, {"encoders": ["else.safetensors"]}, "no image encoder 'CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors'"),
        ({}, {"ours": False}, "gpu1 has no node Vestige_LoadOutfitModels: install the pack it comes from there"),
        ({"sampler": "warp"}, {}, "gpu1: sampler (KSampler): sampler_name is 'warp': it must be one of euler"),
        ({"tuning": {"weight": 3.5}}, {}, "gpu1: tuning (Vestige_TuningValues): weight is 3.5: it must be at most 3."),
        ({"tuning": {"weight": -1.5}}, {}, "weight is -1.5: it must be at least -1."),
        ({"tuning": {"weight_type": "odd"}}, {"new": True}, "weight_type is 'odd': it must be one of linear, ease in."),
    ],
)  # fmt: skip
def test_what_a_host_lacks_is_said_with_its_name(changed: dict[str, Any], how: dict[str, Any], message: str) -> None:
    with pytest.raises(GraphRejected) as caught:
        localise(build(asked(**changed)), offer(**how), {})
    assert message in caught.value.message
    assert caught.value.details["host"] == "gpu1"


@pytest.mark.parametrize(
    ("name", "template", "named"),
    [
        ("ania", "outfit_preview", "choose one of mira, otis."),
        ("acme.ania", "outfit_preview", "choose one of acme.bea."),
        ("other.ania", "outfit_preview", "there is none yet."),
        ("ania", "outfit_preview_ipadapter_plus", "choose one of mira_v3.safetensors, people/otis/v2.safetensors."),
        (
            "acme.ania",
            "outfit_preview_ipadapter_plus",
            "choose one of acme.bea_v1.safetensors, people\\acme.bea\\v2.sft.",
        ),
    ],
)
def test_no_other_tenants_characters_are_named(name: str, template: str, named: str) -> None:
    loras = (*LORAS, "acme.bea_v1.safetensors", "people\\acme.bea\\v2.sft")
    there = offer(loras=loras, characters=("mira", "otis", "acme.bea"))
    with pytest.raises(GraphRejected) as caught:
        localise(build(asked(template=template, lora=LoraVersion(name, 1))), there, {})
    assert caught.value.message.endswith(named)


def test_another_file_under_the_name_is_not_taken() -> None:
    graph = build(asked())
    other = offer({("checkpoints", CHECKPOINTS[1]): "9" * 64})
    with pytest.raises(GraphRejected, match=r"another file under the name of the checkpoint 'sdxl\.safetensors'"):
        localise(graph, other, EVERYWHERE)
    renamed = offer(
        {("checkpoints", CHECKPOINTS[1]): "9" * 64, ("checkpoints", "copy.safetensors"): "2" * 64},
        checkpoints=[CHECKPOINTS[1], "copy.safetensors"],
    )
    assert localise(graph, renamed, EVERYWHERE)["checkpoint"]["inputs"]["ckpt_name"] == "copy.safetensors"
    not_hashed_yet = offer({("checkpoints", CHECKPOINTS[1]): None})
    assert localise(graph, not_hashed_yet, EVERYWHERE)["checkpoint"]["inputs"]["ckpt_name"] == CHECKPOINTS[1]


def test_a_characters_version_is_compared_too() -> None:
    with pytest.raises(GraphRejected, match="no character 'mira@3'"):
        localise(build(asked()), offer({("loras", LORAS[0]): "0" * 64}), {})
    assert localise(build(asked()), offer({("loras", LORAS[0]): "a" * 64}), {})
    otis = build(asked(lora=LoraVersion("otis", 2)))
    assert localise(otis, offer(), {})["outfit"]["inputs"]["version"] == "2"


def test_a_pack_of_another_time() -> None:
    nodes = described()
    nodes["Vestige_EncodeReference"]["input"]["required"]["more"] = ["FLOAT", {}]
    del nodes["Vestige_OutfitChain"]["input"]["required"]["tuning"]
    nodes["Vestige_TuningValues"]["input"]["required"]["freeu"] = ["INT", {}]
    with pytest.raises(GraphRejected) as caught:
        localise(build(asked()), Offer("gpu1", nodes), {})
    problems = caught.value.details["problems"]
    assert problems == [
        "gpu1: features (Vestige_EncodeReference) wants more, which this graph does not have: bring the pack there up "
        "to date, or ours.",
        "gpu1: tuning (Vestige_TuningValues): freeu is False: it takes INT.",
        "gpu1: outfit (Vestige_OutfitChain) has no input tuning: bring the pack there up to date.",
    ]


def test_nothing_else_leaves_the_server() -> None:
    with pytest.raises(GraphRejected, match="no node 'ExecutePython'"):
        localise(Graph({"picture": Node("ExecutePython", {})}), Offer("gpu1", {"ExecutePython": {}}), {})
