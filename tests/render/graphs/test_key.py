"""A preview's key changes exactly when the picture can."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.render.graphs.build import build
from server.render.graphs.key import preview_key, unverified
from server.render.graphs.nodes import File, Graph, Link, Node
from server.render.graphs.request import LoraVersion, PictureRequest
from tests.render.graphs.asking import REQUESTS, SHOE, asked
from tests.render.graphs.described import ADAPTERS, CHECKPOINTS, ENCODERS

HASHES: dict[tuple[str, str], str | None] = {
    ("checkpoints", CHECKPOINTS[0]): "1" * 64,
    ("checkpoints", CHECKPOINTS[1]): "2" * 64,
    ("ipadapter", ADAPTERS[0]): "3" * 64,
    ("ipadapter", ADAPTERS[1]): "4" * 64,
    ("clip_vision", ENCODERS[0]): "5" * 64,
    ("characters", "mira@3"): "a" * 64,
}


def key(request: PictureRequest, hashes: dict[tuple[str, str], str | None] = HASHES) -> str:
    return preview_key(build(request), hashes)


@given(request=REQUESTS, shuffle=st.randoms())
def test_order_titles_and_ids_are_not_in_it(request: PictureRequest, shuffle: Any) -> None:
    graph = build(request)
    names = {node_id: f"n{at}" for at, node_id in enumerate(graph.nodes)}
    nodes = list(graph.nodes.items())
    shuffle.shuffle(nodes)

    def renamed(node: Node) -> Node:
        inputs = [
            (name, Link(names[value.node], value.output) if isinstance(value, Link) else value)
            for name, value in node.inputs.items()
        ]
        shuffle.shuffle(inputs)
        return Node(node.kind, dict(inputs), "another title")

    other = Graph({names[node_id]: renamed(node) for node_id, node in nodes}, names["picture"])
    assert preview_key(other, HASHES) == preview_key(graph, HASHES)


@given(request=REQUESTS)
def test_names_of_files_are_not_in_it(request: PictureRequest) -> None:
    moved = replace(request, checkpoint=f"elsewhere/{request.checkpoint}", adapter="renamed.safetensors")
    if request.lora is not None:
        moved = replace(moved, lora=LoraVersion("copied", 12, request.lora.sha256))
    hashes = HASHES | {
        ("checkpoints", moved.checkpoint): HASHES["checkpoints", request.checkpoint],
        ("ipadapter", "renamed.safetensors"): HASHES["ipadapter", ADAPTERS[0]],
    }
    assert key(moved, hashes) == key(request)


@given(one=REQUESTS, other=REQUESTS)
def test_two_requests_have_one_key_only_where_they_are_one_picture(one: PictureRequest, other: PictureRequest) -> None:
    assert (key(one) == key(other)) == (build(one) == build(other))


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 8},
        {"steps": 27},
        {"cfg": 5.5},
        {"sampler": "euler"},
        {"scheduler": "normal"},
        {"width": 840},
        {"height": 1024},
        {"prompt": "standing in a garden "},
        {"negative": ""},
        {"reference": SHOE},
        {"checkpoint": CHECKPOINTS[0]},
        {"adapter": ADAPTERS[1]},
        {"lora": None},
        {"lora": LoraVersion("mira", 4, "b" * 64)},
        {"tuning": {"weight": 0.41}},
        {"tuning": {"lora_model": 0.79}},
        {"tuning": {"freeu": True}},
        {"tuning": {"layer_weights": "3:0.5"}},
        {"template": "outfit_preview_ipadapter_plus"},
    ],
)
def test_what_changes_the_picture_changes_it(changed: dict[str, Any]) -> None:
    assert key(asked(**changed)) != key(asked())


@pytest.mark.parametrize(
    "file", [("checkpoints", CHECKPOINTS[1]), ("ipadapter", ADAPTERS[0]), ("clip_vision", ENCODERS[0])]
)
def test_another_content_under_the_same_name_changes_it(file: tuple[str, str]) -> None:
    assert key(asked(), HASHES | {file: "f" * 64}) != key(asked())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"cfg": 5}, {"cfg": 5.0}),
        ({"tuning": {"weight": 1}}, {"tuning": {"weight": 1.0}}),
        ({"tuning": {"freeu_b1": 1.1}}, {}),
        ({"tuning": {"weight": 0.4}}, {}),
        ({"lora": None, "tuning": {"lora_model": 0.3}}, {"lora": None}),
        ({"preset": "dress@3"}, {}),
        ({"lora": LoraVersion("mira", 4, "a" * 64)}, {}),
    ],
)
def test_what_changes_nothing_does_not(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert key(asked(**one)) == key(asked(**other))


def test_a_file_without_a_hash_counts_by_its_name_and_is_named() -> None:
    graph = build(asked(lora=LoraVersion("mira", 3)))
    assert unverified(graph, HASHES) == ()
    lacking = HASHES | {("checkpoints", CHECKPOINTS[1]): None, ("characters", "mira@3"): None}
    assert unverified(graph, lacking) == (File("checkpoints", CHECKPOINTS[1]), File("characters", "mira@3"))
    assert preview_key(graph, lacking) != preview_key(graph, HASHES)
    assert preview_key(graph, lacking) != preview_key(build(asked(lora=LoraVersion("otis", 3))), lacking)


def test_it_is_64_hex_digits_and_stays_what_it_is() -> None:
    """Were it another, every picture there is would be rendered again: only together with `_VERSION` in `key.py`."""
    assert key(asked()) == "8668821ebc1adfbdd8b539de67baef6481d93e9ea640252508e73179fb0bde93"
