"""A character's name in a prompt: found however it is written, and not where it is part of another word."""

import pytest

from server.catalog.cards import Card
from server.catalog.looks.names import names_in, names_of, without_names


@pytest.mark.parametrize(
    ("name", "nickname", "names"),
    [
        ("Halina Wrobel", "", ("Halina Wrobel", "Halina")),
        ("Halina Wrobel", "Halinka", ("Halina Wrobel", "Halinka", "Halina")),
        ("Dr. Wendell Sarpong", "", ("Dr. Wendell Sarpong", "Wendell")),
        ("The Baroness", "", ("The Baroness", "Baroness")),
        ("The", "", ("The",)),
        ("Bo Li", "", ("Bo Li",)),
        ("Mira", "", ("Mira",)),
        ("美咲", "", ("美咲",)),
    ],
)
def test_what_a_character_is_called(name: str, nickname: str, names: tuple[str, ...]) -> None:
    assert names_of(Card.new({"name": name, "nickname": nickname})) == names


@pytest.mark.parametrize(
    ("text", "name", "found"),
    [
        ("portrait of Mira, rain", "Mira", True),
        ("MIRA's room", "Mira", True),
        ("mi\u200bra at sea", "Mira", True),
        ("ｍｉｒａ at sea", "Mira", True),
        ("a_mira_b", "Mira", True),
        ("a mirage in the heat", "Mira", False),
        ("an admiral", "Mira", False),
        ("halina   wrobel", "Halina Wrobel", True),
        ("halina, then wrobel", "Halina Wrobel", False),
        ("Мира у моря", "Мира", True),
        ("в мирах", "Мира", False),
        ("美咲は海辺に立つ", "美咲", True),
        ("STRASSE", "Straße", True),
        ("anything at all", "C++", False),
        ("she codes C++ at night", "C++", True),
    ],
)
def test_where_a_name_is_found(text: str, name: str, found: bool) -> None:
    assert names_in(text, [name]) == ([name] if found else [])
    left = without_names(text, [name])
    assert names_in(left, [name]) == []
    assert (left == text) is not found


def test_what_is_left_without_a_name() -> None:
    text = "Mira, standing by a window with Mira Okafor , soft light"
    assert without_names(text, ("Mira", "Mira Okafor")) == "standing by a window with, soft light"
