"""What a client may send, and what it is told otherwise."""

from typing import Any

import pytest
from pydantic import ValidationError

from server.catalog.models import READ_ONLY, CharacterChanges, CharacterDraft


def test_a_name_is_enough() -> None:
    draft = CharacterDraft.model_validate({"name": " Odile "})
    assert draft.fields() == {"name": "Odile"}
    assert draft.sharing is None
    assert draft.card().name == "Odile"


def test_changes_hold_only_what_was_sent() -> None:
    changes = CharacterChanges.model_validate({"scenario": "", "tags": ["b", "B", " ", "a"], "shared": True})
    assert changes.fields() == {"scenario": "", "tags": ["b", "a"]}
    assert changes.sharing is True


def test_a_character_can_be_sent_back_as_it_was_read() -> None:
    read = dict.fromkeys(READ_ONLY, "x") | {"name": "Odile"}
    assert CharacterChanges.model_validate(read).fields() == {"name": "Odile"}


def test_text_is_cleaned_like_a_card() -> None:
    draft = CharacterDraft.model_validate({"name": "O\ndile\u202e", "description": "a\r\nb\x00\ud800"})
    assert draft.fields() == {"name": "O dile", "description": "a\nb\ufffd"}


@pytest.mark.parametrize(
    ("sent", "field", "says"),
    [
        ({}, "name", "Field required"),
        ({"name": "  "}, "name", "needs a name"),
        ({"name": "\u200b"}, "name", "needs a name"),
        ({"name": None}, "name", "valid string"),
        ({"name": "x" * 201}, "name", "at most 200"),
        ({"name": "O", "description": "x" * 100_001}, "description", "at most 100000"),
        ({"name": "O", "tags": "a,b"}, "tags", "valid list"),
        ({"name": "O", "tags": [str(n) for n in range(101)]}, "tags", "at most 100"),
        ({"name": "O", "tags": ["x" * 101]}, "tags", "at most 100"),
        ({"name": "O", "alternate_greetings": ["x"] * 101}, "alternate_greetings", "at most 100"),
        ({"name": "O", "nmae": "x"}, "nmae", "not permitted"),
        ({"name": "O", "shared": "perhaps"}, "shared", "boolean"),
    ],
)
def test_mistakes_are_named(sent: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(ValidationError) as error:
        CharacterDraft.model_validate(sent)
    [first] = error.value.errors()
    assert first["loc"][0] == field
    assert says in first["msg"]


def test_an_edit_may_not_take_the_name_away() -> None:
    with pytest.raises(ValidationError, match="needs a name"):
        CharacterChanges.model_validate({"name": ""})
