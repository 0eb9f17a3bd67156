"""Cards of every version become one form, and nothing that a card holds is lost on the way."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.catalog.cards import EDITABLE, OURS, Card
from server.catalog.reading import read_card, write_card
from server.errors import InvalidCard
from tests.catalog.cardfiles import decoded, json_card, png_card, texts_of, v1, v2, v3

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
numbers = st.integers(-(10**18), 10**18) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
unknown = st.dictionaries(names.map(lambda name: f"x_{name}"), values, max_size=3)


@st.composite
def cards(draw: st.DrawFn) -> dict[str, Any]:
    """A v2 or v3 card with keys no specification knows, at every level."""
    entry = draw(unknown) | {"keys": ["glue"], "content": "It is hot.", "extensions": draw(unknown), "enabled": True}
    book = draw(unknown) | {"entries": [entry], "extensions": draw(unknown)}
    assets = [draw(unknown) | {"type": "x_other", "uri": "ccdefault:", "name": "main", "ext": "png"}]
    make = draw(st.sampled_from([v2, v3]))
    card = make(character_book=book, assets=assets, extensions=draw(unknown))
    card["data"] |= draw(unknown)
    return card | draw(unknown)


def without_known(document: dict[str, Any]) -> dict[str, Any]:
    """The card without what an edit or a new version may rightly change."""
    document = copy.deepcopy(document)
    for key in ("spec", "spec_version"):
        document.pop(key)
    for key in (*EDITABLE, "creation_date", "modification_date"):
        document["data"].pop(key, None)
    return document


@settings(deadline=None)
@given(cards(), st.sampled_from(["json", "png"]))
def test_unknown_keys_survive_import_edit_and_export(document: dict[str, Any], kind: Any) -> None:
    card = read_card(json_card(document)).card.edited({"name": "Odile the Second", "tags": ["new"]})
    exported = write_card(card, None, kind, "odile").content
    again = json.loads(exported) if kind == "json" else decoded(texts_of(exported)["ccv3"])
    assert again["data"]["name"] == "Odile the Second"
    assert without_known(again) == without_known(document)


@settings(deadline=None)
@given(st.dictionaries(names.map(lambda name: f"x_{name}"), values, max_size=4))
def test_unknown_keys_of_a_flat_card_survive(extra: dict[str, Any]) -> None:
    document = Card.read(v1() | extra).document
    assert {key: document[key] for key in extra} == extra


@pytest.mark.parametrize("document", [v1(), v2(), v3()], ids=["v1", "v2", "v3"])
@pytest.mark.parametrize(
    "make", [json_card, png_card, lambda card: png_card(card, "ccv3")], ids=["json", "png", "ccv3"]
)
def test_every_version_is_read_from_every_container(document: dict[str, Any], make: Any) -> None:
    card = read_card(make(document)).card
    assert (card.name, card.description, card.first_mes) == ("Odile", "A bookbinder.", "Mind the glue, {{user}}.")
    assert card.document["spec"] == "chara_card_v3"
    assert card.document["spec_version"] == "3.0"
    assert card.data["group_only_greetings"] == []
    assert card.data["extensions"] == {}


def test_the_oldest_names_of_the_fields_are_known() -> None:
    card = Card.read({"char_name": "Odile", "char_persona": "A bookbinder.", "char_greeting": "Shoes."})
    assert (card.name, card.description, card.first_mes) == ("Odile", "A bookbinder.", "Shoes.")


def test_greetings_begin_with_the_first_message_and_leave_empty_ones_out() -> None:
    assert Card.read(v2(alternate_greetings=["", "You again.", "  "])).greetings == (
        "Mind the glue, {{user}}.",
        "You again.",
    )


def test_char_is_the_nickname_where_there_is_one() -> None:
    assert Card.read(v3()).char == "Odile"
    assert Card.read(v3(nickname="Dilly")).char == "Dilly"


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("tags", "craft, glue,, Craft", ("craft", "glue")),
        ("tags", None, ()),
        ("tags", [" paper\n", "Paper", 7], ("paper", "7")),
        ("alternate_greetings", None, ()),
        ("alternate_greetings", "Only one", ("Only one",)),
        ("alternate_greetings", [None, "a"], ("a",)),
        ("alternate_greetings", {}, ()),
        ("character_version", 1.1, "1.1"),
        ("description", None, ""),
        ("description", "a\r\nb\rc", "a\nb\nc"),
        ("description", "nul\x00 bell\x07 esc\x1b[0m", "nul bell esc[0m"),
        ("description", "half \ud83d pair", "half \ufffd pair"),
        ("name", "  Two\nlines\t", "Two lines"),
        ("name", "\u202eelidO", "elidO"),
        ("name", "🦊", "🦊"),
    ],
)
def test_slips_are_put_right(key: str, value: Any, expected: Any) -> None:
    assert getattr(Card.read(v2(**{key: value})), key) == expected


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"name": None}, "no name"),
        ({"name": " \u200b\u00ad "}, "no name"),
        ({"name": "x" * 201}, "name is too long"),
        ({"name": ["Odile"]}, "`name` must be text, not a list"),
        ({"description": {"en": "…"}}, "`description` must be text, not an object"),
        ({"description": True}, "`description` must be text, not true or false"),
        ({"description": "x" * 100_001}, "`description` is too long"),
        ({"tags": 5}, "`tags` must be a list of texts, not a number"),
        ({"tags": [["a"]]}, "`tags` must be text, not a list"),
        ({"tags": [str(n) for n in range(101)]}, "101 tags"),
        ({"alternate_greetings": {"a": "b"}}, "must be a list of texts, not an object"),
        ({"alternate_greetings": ["x"] * 101}, "101 `alternate_greetings`"),
        ({"extensions": "none"}, "`extensions` must be an object, not text"),
        ({"character_book": {"entries": [{}] * 2_001}}, "2,001 entries"),
    ],
)
def test_wrong_fields_are_named(data: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidCard) as error:
        Card.read(v2(**data))
    assert says in error.value.message


@pytest.mark.parametrize(
    "document",
    [{}, {"data": []}, {"spec": "chara_card_v2", "data": None}, {"name": "left-pad", "version": "1.3.0"}, v1(data=[])],
)
def test_json_without_a_character_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(InvalidCard, match="not a character card"):
        Card.read(document)


def test_a_lorebook_is_told_apart() -> None:
    with pytest.raises(InvalidCard, match="lorebook"):
        Card.read({"spec": "lorebook_v3", "data": {"entries": []}})


def test_copies_of_fields_beside_the_data_follow_an_edit() -> None:
    document = v2() | {"name": "Odile", "description": "A bookbinder.", "creatorcomment": "old", "chat": "x"}
    card = Card.read(document).edited({"name": "Odette", "creator_notes": "new"})
    assert card.document["name"] == "Odette"
    assert card.document["creatorcomment"] == "new"
    assert card.document["description"] == "A bookbinder."
    assert card.document["chat"] == "x"


def test_an_edit_leaves_the_old_card_as_it_was() -> None:
    card = Card.read(v3())
    before = copy.deepcopy(card.document)
    card.edited({"name": "Odette"})
    assert card.document == before


def test_ownership_is_never_taken_from_a_card() -> None:
    card = Card.read(v3(extensions={OURS: {"owner": "root", "shared": True}, "other": 1}))
    assert card.extensions == {"other": 1}
