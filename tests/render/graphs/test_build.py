"""From a request to its graph: every value in its place, words as words alone, and nothing that is not on the list."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import GraphRejected, InvalidRequest
from server.render.graphs.allowed import ALLOWED, refuse_unknown
from server.render.graphs.build import build
from server.render.graphs.nodes import File, Graph, Link, Node, Text
from server.render.graphs.request import MAX_TEXT, TEMPLATES, LoraVersion, PictureRequest
from server.render.templates import FOLDER, read_template
from tests.render.graphs.asking import DRESS, REQUESTS, asked

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


def test_every_template_is_known_and_of_allowed_classes() -> None:
    assert sorted(TEMPLATES) == sorted(path.stem for path in FOLDER.glob("*.json"))
    for name in TEMPLATES:
        assert {node["class_type"] for node in read_template(name).nodes.values()} <= set(ALLOWED)


def test_an_outfit() -> None:
    nodes = build(asked(tuning={"weight": 0.55, "freeu": True, "freeu_b1": 1})).nodes
    assert nodes["checkpoint"].inputs == {"ckpt_name": File("checkpoints", "sdxl.safetensors")}
    assert nodes["outfit"].inputs["character"] == File("characters", "mira@3", "a" * 64)
    assert nodes["outfit"].inputs["version"] == "3"
    assert nodes["reference"].inputs["picture"] == File("references", DRESS, DRESS)
    assert nodes["positive"].inputs == {"clip": Link("outfit", 1), "text": Text("standing in a garden")}
    assert nodes["tuning"].inputs["weight"] == 0.55
    assert nodes["tuning"].inputs["freeu_b1"] == 1.0


def test_without_a_character_and_on_other_hosts() -> None:
    assert build(asked(lora=None)).nodes["outfit"].inputs["character"] == "none"
    plus = build(asked(template="outfit_preview_ipadapter_plus")).nodes
    assert plus["lora"].inputs["lora_name"] == File("loras", "mira@3", "a" * 64)
    assert "freeu" not in plus
    portrait = build(asked(template="character_portrait", reference=None, lora=None)).nodes
    assert portrait.keys().isdisjoint({"character", "freeu", "reference"})
    assert build(asked(template="character_portrait_core", reference=None)).nodes["lora"].kind == "LoraLoader"


@given(request=REQUESTS, words=WORDS)
def test_words_end_as_the_value_of_a_text_input_and_nowhere_else(request: PictureRequest, words: str) -> None:
    one, other = build(request), build(replace(request, prompt=words))
    assert one.nodes.keys() == other.nodes.keys()
    for node_id, node in one.nodes.items():
        for name, value in node.inputs.items():
            if (node_id, name) == ("positive", "text"):
                assert isinstance(other.nodes[node_id].inputs[name], Text)
            else:
                assert other.nodes[node_id].inputs[name] == value


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("a dress embedding:evil", "a dress embedding evil"),
        ('["checkpoint", 0]', '["checkpoint", 0]'),
        ("<tune:seed>", "<tune:seed>"),
    ],
)
def test_words_are_only_words(words: str, said: str) -> None:
    assert build(asked(prompt=words)).nodes["positive"].inputs["text"] == Text(said)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"template": None}, "Which template"),
        ({"adapter": None}, "Which adapter"),
        ({"encoder": None}, "Which encoder"),
        ({"reference": None}, "Which reference"),
        (
            {"template": "outfit_preview_ipadapter_plus", "tuning": {"layer_weights": "3:0.5"}},
            "layer_weights is '3:0.5': only hosts with Vestige's node pack",
        ),
    ],
)
def test_what_is_not_complete(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        build(asked(**changed))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"prompt": "a" * (MAX_TEXT + 1)}, "prompt has 8001 characters"),
        ({"prompt": "\ud83d"}, "half a character"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**64}, "it must be from 0"),
        ({"steps": True}, "steps is True"),
        ({"cfg": float("nan")}, "cfg is nan"),
        ({"seed": "7"}, "seed is 7"),
        ({"steps": 4.0}, "steps is 4.0"),
        ({"width": 832.0}, "width is 832.0"),
        ({"tuning": {"weight": 10**400}}, "it must be a number"),
        ({"tuning": {"weight": float("inf")}}, "weight is inf"),
        ({"tuning": {"layer_weights": "3:0.5," * 1000}}, "it must be text"),
        ({"width": 833}, "width is 833"),
        ({"height": 8192}, "height is 8192"),
        ({"reference": "../dress"}, "no sha256"),
        ({"preset": "dress@latest"}, "name@version"),
        ({"template": "evil"}, "no template 'evil'"),
        ({"tuning": {"weigth": 1}}, "no tuning value 'weigth'"),
        ({"tuning": {"weight": "1"}}, "weight is '1': it must be a number"),
        ({"tuning": {"freeu": 1}}, "freeu is 1: it must be true or false"),
        ({"tuning": {"weight_type": 3}}, "weight_type is 3: it must be text"),
    ],
)
def test_values_that_no_host_could_use(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        asked(**changed)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (Node("PythonExec", {}), "no node 'PythonExec'"),
        (Node("KSampler", {"sampler_name": Text("euler")}), "takes no text"),
        (Node("CLIPTextEncode", {"text": "plain"}), "takes no str"),
        (Node("CheckpointLoaderSimple", {"ckpt_name": File("loras", "x")}), "takes no file"),
    ],
)
def test_a_graph_that_somebody_else_made(node: Node, message: str) -> None:
    with pytest.raises(GraphRejected, match=message):
        refuse_unknown(Graph({"picture": node}))


def test_a_lora_is_called_by_name_and_version() -> None:
    assert str(LoraVersion("mira", 3)) == "mira@3"
