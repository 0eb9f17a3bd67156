"""Ids come from names, read like them where the alphabet allows, and are always ids."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.catalog.slugs import RESERVED, free_id, slug
from server.ids import check_slug


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Halina Wrobel", "halina-wrobel"),
        ("  Ólafur Þór – Ægisson! ", "olafur-thor-aegisson"),
        ("Łucja Straße", "lucja-strasse"),
        ("../../etc/passwd", "etc-passwd"),
        ("x" * 200, "x" * 48),
        ("Agent 47", "agent-47"),
        ("Ода", None),
        ("文 Wen", None),
        ("🦊", None),
        ("…", None),
    ],
)
def test_names_become_ids(name: str, expected: str | None) -> None:
    assert slug(name) == expected


def test_a_taken_id_gets_a_number() -> None:
    assert free_id("Odile", {"odile", "odile-2"}.__contains__) == "odile-3"


def test_a_name_in_another_alphabet_gets_a_random_id() -> None:
    assert free_id("Ода", lambda _: False).startswith("char-")


def test_words_of_the_interface_are_no_ids() -> None:
    for word in RESERVED:
        assert free_id(word, lambda _: False) == f"{word}-2"


def test_an_endless_crowd_of_namesakes_gets_random_ids() -> None:
    assert len(free_id("Odile", lambda id: len(id) < len("odile-1234"))) == len("odile-12345678")


@settings(deadline=None)
@given(st.text(min_size=1))
def test_every_name_gives_a_valid_id(name: str) -> None:
    check_slug(free_id(name, lambda _: False), "id")
