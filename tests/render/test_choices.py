"""A person names a file as they know it; the host has it under its own name."""

from typing import Any

import pytest

from server.errors import InvalidRequest
from server.render.choices import choices, meant

OFFERED = [
    "sdxl/realvisxl_v5.safetensors",
    "animagine_xl_4.safetensors",
    "animagine_xl_3.safetensors",
    "sub\\ada.safetensors",
]


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ([["a", "b"], {"tooltip": "old style"}], ["a", "b"]),
        (["COMBO", {"options": ["a", "b"]}], ["a", "b"]),
        (["COMBO", {}], []),
        (["INT", {"default": 1}], []),
        ([], []),
    ],
)
def test_both_ways_of_writing_a_choice_are_read(entry: list[Any], found: list[str]) -> None:
    for group in ("required", "optional"):
        assert choices({"Node": {"input": {group: {"name": entry}}}}, "Node", "name") == found


@pytest.mark.parametrize("nodes", [{}, {"Node": {}}, {"Node": {"input": {}}}])
def test_what_is_not_there_offers_nothing(nodes: dict[str, Any]) -> None:
    assert choices(nodes, "Node", "name") == []


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("sdxl/realvisxl_v5.safetensors", "sdxl/realvisxl_v5.safetensors"),
        ("realvisxl_v5", "sdxl/realvisxl_v5.safetensors"),
        ("RealVis", "sdxl/realvisxl_v5.safetensors"),
        ("animagine_xl_4", "animagine_xl_4.safetensors"),
        ("ada", "sub\\ada.safetensors"),
    ],
)
def test_a_name_or_a_part_of_one_is_enough(given: str, found: str) -> None:
    assert meant(given, OFFERED, "checkpoint") == found


@pytest.mark.parametrize(
    ("given", "offered", "said"),
    [
        ("animagine", OFFERED, "Several files there could be the checkpoint 'animagine': animagine_xl_4"),
        ("realviz", OFFERED, "no checkpoint 'realviz'. There is: "),
        ("x", [], "There is none at all"),
    ],
)
def test_one_that_is_not_there_is_answered_with_what_is(given: str, offered: list[str], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        meant(given, offered, "checkpoint")
