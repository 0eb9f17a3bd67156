"""What a client may send to create or change a character."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from server.catalog import limits
from server.catalog.cards import Card
from server.catalog.text import clean_line, clean_text, is_visible

# What a character carries when it is read: a client may send it back unchanged.
READ_ONLY = frozenset(
    {"id", "avatar", "mine", "editable", "etag", "created", "modified", "owner", "notices", "last_message_at"}
)


def _text(value: object) -> object:
    return clean_text(value) if isinstance(value, str) else value


def _line(value: object) -> object:
    return clean_line(value) if isinstance(value, str) else value


def _name(value: object) -> object:
    value = _line(value)
    if isinstance(value, str) and not is_visible(value):
        raise PydanticCustomError("no_name", "A character needs a name.")
    return value


def _distinct(tags: object) -> object:
    """Without empty tags and those that differ in case only."""
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        return tags
    lines = (clean_line(tag) for tag in tags)
    return list({line.casefold(): line for line in reversed(list(lines)) if line}.values())[::-1]


Text = Annotated[str, BeforeValidator(_text), Field(max_length=limits.FIELD)]
Line = Annotated[str, BeforeValidator(_line), Field(max_length=limits.LINE)]
Name = Annotated[str, BeforeValidator(_name), Field(max_length=limits.NAME)]
Greetings = Annotated[list[Text], Field(max_length=limits.GREETINGS)]
Tag = Annotated[str, Field(max_length=limits.TAG)]
Tags = Annotated[list[Tag], BeforeValidator(_distinct), Field(max_length=limits.TAGS)]


class CharacterFields(BaseModel):
    """A character's fields but for its name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: Text = ""
    personality: Text = ""
    scenario: Text = ""
    first_mes: Text = ""
    alternate_greetings: Greetings = []
    mes_example: Text = ""
    system_prompt: Text = ""
    post_history_instructions: Text = ""
    creator_notes: Text = ""
    creator: Line = ""
    character_version: Line = ""
    nickname: Line = ""
    tags: Tags = []
    shared: bool = False
    """Whether everyone of the tenant sees the character."""

    @model_validator(mode="before")
    @classmethod
    def _as_it_was_read(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if key not in READ_ONLY}
        return data

    def fields(self) -> dict[str, Any]:
        """The card's fields that were sent."""
        return {key: getattr(self, key) for key in sorted(self.model_fields_set - {"shared"})}

    @property
    def sharing(self) -> bool | None:
        """The new value of `shared`, or None where it was not sent."""
        return self.shared if "shared" in self.model_fields_set else None


class CharacterChanges(CharacterFields):
    """The fields to change; one that is not sent stays as it is."""

    name: Name = ""


class CharacterDraft(CharacterFields):
    """A new character: a name, and what else there is to say."""

    name: Name

    def card(self) -> Card:
        """The card it describes."""
        return Card.new(self.fields())
