"""Lorebook entries join the prompt when the talk touches them, within a budget, and run nothing."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.catalog.cards import Card
from server.catalog.lore import lore_for, pattern_entries
from server.memory.tokens import estimate_tokens
from tests.catalog.cardfiles import v3


def entry(content: str = "lore", keys: Any = ("glue",), **more: Any) -> dict[str, Any]:
    return {"keys": list(keys) if isinstance(keys, tuple) else keys, "content": content, "enabled": True, **more}


def card(*entries: Any, **book: Any) -> Card:
    return Card.read(v3(character_book={"entries": list(entries), **book}))


def called(recent: Any, *entries: Any, budget: int = 1_000, **book: Any) -> list[str]:
    return [it.content for it in lore_for(card(*entries, **book), recent, budget)]


@pytest.mark.parametrize(
    ("key", "text", "found"),
    [
        ("glue", "Mind the GLUE!", True),
        ("Tailor", "two tailors, one tailored", True),
        ("art", "where do we start", False),
        ("art", "start art", True),
        ("shelf 60", "beyond Shelf 60?", True),
        ("shelf 60", "shelf 6", False),
        ("#tag", "a#tag", True),
        ("U-7", "form u-7", True),
        ("don't", "I don't know", True),
        ("Straße", "in der STRASSE", True),
        ("裁缝", "她是裁缝。", True),
        ("ткан", "хорошая Тканью", True),
        ("кань", "хорошая Тканью", False),
        ("", "anything", False),
        ("   ", "anything", False),
        (".*", "anything", False),
        ("a|b", "a or b", False),
    ],
)
def test_a_key_is_found_at_the_start_of_a_word_in_any_case(key: str, text: str, found: bool) -> None:
    assert called(text, entry(keys=(key,))) == (["lore"] if found else [])


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, True),
        ({"enabled": False}, False),
        ({"keys": "paste, glue"}, True),
        ({"keys": None}, False),
        ({"keys": None, "constant": True}, True),
        ({"keys": ("Glue",), "case_sensitive": True}, False),
        ({"keys": ("glue",), "case_sensitive": True}, True),
        ({"selective": True, "secondary_keys": ["paper"]}, False),
        ({"selective": True, "secondary_keys": ["hot"]}, True),
        ({"selective": True, "secondary_keys": []}, True),
        ({"selective": False, "secondary_keys": ["paper"]}, True),
        ({"use_regex": True}, False),
        ({"use_regex": True, "constant": True}, False),
        ({"use_regex": True, "keys": ("(a+)+$",)}, False),
        ({"content": "@@dont_activate\nlore"}, False),
        ({"content": "@@activate\n@@depth 4\n\nlore", "keys": ("x",)}, True),
        ({"content": ""}, False),
        ({"content": 7}, False),
    ],
)
def test_an_entry_is_called_by_its_rules(changes: dict[str, Any], found: bool) -> None:
    assert called("the glue is hot", entry(**changes)) == (["lore"] if found else [])


def test_entries_come_in_their_order_and_once() -> None:
    entries = [entry("c", insertion_order=9), entry("a", insertion_order=1), entry("b", insertion_order=5)]
    assert called("glue glue glue", *entries) == ["a", "b", "c"]


def test_the_position_is_told() -> None:
    found = lore_for(card(entry("a", position="before_char"), entry("b")), "glue", 100)
    assert [(it.content, it.position) for it in found] == [("a", "before_char"), ("b", "after_char")]


def test_low_priority_gives_way_first_and_what_still_fits_stays() -> None:
    entries = [
        entry("one two three", insertion_order=1, priority=1),
        entry("four five six", insertion_order=2, priority=9),
        entry("seven eight nine ten", insertion_order=3, priority=5),
        entry("last", insertion_order=4, priority=0),
    ]
    assert called("glue", *entries, budget=estimate_tokens("four five six") + 2) == ["four five six", "last"]


def test_the_smaller_budget_counts() -> None:
    assert called("glue", entry("one two three"), token_budget=2) == []
    assert called("glue", entry("one two three"), budget=2, token_budget=500) == []
    assert called("glue", entry("one two three"), budget=0) == []


def test_only_so_many_messages_are_scanned_as_the_book_says() -> None:
    messages = ["glue", "paper", "thread"]
    assert called(messages, entry(), scan_depth=2) == []
    assert called(messages, entry(), scan_depth=3) == ["lore"]
    assert called(messages, entry()) == ["lore"]


def test_a_card_without_a_book_has_no_lore() -> None:
    assert lore_for(Card.read(v3()), "glue", 100) == []


def test_entries_by_number_are_read_too() -> None:
    book = {"entries": {"0": entry("a"), "1": entry("b")}}
    assert [it.content for it in lore_for(Card.read(v3(character_book=book)), "glue", 100)] == ["a", "b"]


def test_patterns_are_counted_for_the_person_who_imports_them() -> None:
    assert pattern_entries(card(entry(use_regex=True), entry(), "junk")) == 1


def test_a_book_made_to_be_slow_ends() -> None:
    entries = [entry("x", keys=tuple(f"{'a' * 300}{n}-{k}" for k in range(5))) for n in range(1_000)]
    assert called("b" + "a" * 200_000, *entries) == []


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["keys", "secondary_keys", "content", "enabled", "constant", "selective", "use_regex", "case_sensitive"]


@settings(deadline=None)
@given(
    st.lists(st.dictionaries(st.sampled_from([*FIELDS, "insertion_order", "priority"]), junk), max_size=4), junk, junk
)
def test_nonsense_in_a_book_is_passed_over(entries: list[Any], depth: Any, budget: Any) -> None:
    lore_for(card(*entries, scan_depth=depth, token_budget=budget), ["glue", "paper"], 100)
