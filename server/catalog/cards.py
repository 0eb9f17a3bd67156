"""A character card: the known fields typed, everything else kept exactly as it came.

Cards v1 (flat), v2 (`chara_card_v2`) and v3 (`chara_card_v3`) are read; v3, which contains v2's fields, is written.
Specifications: malfoyslastname/character-card-spec-v2 and kwaroran/character-card-spec-v3 on GitHub.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from server.catalog import limits
from server.catalog.text import clean_line, clean_text, is_visible
from server.errors import InvalidCard

SPEC, SPEC_VERSION = "chara_card_v3", "3.0"
V2_SPEC, V2_SPEC_VERSION = "chara_card_v2", "2.0"
OURS = "vestige"
"""Our own key in `data.extensions`: who owns a stored card. It never leaves and is never taken from outside."""

TEXTS = (
    "description",
    "personality",
    "scenario",
    "first_mes",
    "mes_example",
    "creator_notes",
    "system_prompt",
    "post_history_instructions",
)
LINES = ("creator", "character_version", "nickname")
GREETINGS = ("alternate_greetings", "group_only_greetings")
EDITABLE = frozenset({"name", "tags", *TEXTS, *LINES, *GREETINGS})

_DATA_KEYS = EDITABLE | {"extensions", "character_book", "assets", "source", "creator_notes_multilingual"}
_DATES = ("creation_date", "modification_date")
# Some tools repeat fields beside `data`, under these names. They are kept, so they have to follow an edit.
_MIRRORS = {key: key for key in ("name", "tags", *TEXTS, *GREETINGS)} | {"creatorcomment": "creator_notes"}
# The names Pygmalion's characters had before cards.
_PYGMALION = {
    "char_name": "name",
    "char_persona": "description",
    "world_scenario": "scenario",
    "char_greeting": "first_mes",
    "example_dialogue": "mes_example",
}


@dataclass(frozen=True, slots=True)
class Card:
    """A character as its card describes it.

    `document` is the whole v3 card with every unknown key; it is shared between cards and never changed in place.
    """

    name: str
    description: str
    personality: str
    scenario: str
    first_mes: str
    mes_example: str
    creator_notes: str
    system_prompt: str
    post_history_instructions: str
    creator: str
    character_version: str
    nickname: str
    alternate_greetings: tuple[str, ...]
    group_only_greetings: tuple[str, ...]
    tags: tuple[str, ...]
    document: dict[str, Any] = field(repr=False)

    @property
    def char(self) -> str:
        """What `{{char}}` stands for: the nickname where the card has one, else the name."""
        return self.nickname or self.name

    @property
    def greetings(self) -> tuple[str, ...]:
        """Every greeting a conversation may start with, the first message first; empty ones are left out."""
        return tuple(text for text in (self.first_mes, *self.alternate_greetings) if text.strip())

    @property
    def data(self) -> dict[str, Any]:
        return self.document["data"]

    @property
    def extensions(self) -> dict[str, Any]:
        return self.data["extensions"]

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """The card in a JSON object of any version.

        Raises:
            InvalidCard: it is no character card, or a known field has the wrong type or is too long.
        """
        outer, data = _split(document)
        texts = {key: _text(data, key) for key in TEXTS}
        lines = {key: clean_line(_text(data, key, limits.LINE)) for key in LINES}
        greetings = {key: _greetings(data, key) for key in GREETINGS}
        name, tags = _name(data), _tags(data)
        data |= texts | greetings | {"name": name, "tags": tags, "extensions": _extensions(data)}
        data |= {key: line for key, line in lines.items() if key != "nickname" or key in data}
        _check_book(data.get("character_book"))
        for key in _DATES:
            if key in data and (isinstance(data[key], bool) or not isinstance(data[key], int | float)):
                del data[key]  # a date in words: v3 readers expect a number and reject anything else
        outer |= {"spec": SPEC, "spec_version": SPEC_VERSION, "data": data}
        typed: dict[str, Any] = texts | lines | {key: tuple(value) for key, value in greetings.items()}
        return cls(name=name, tags=tuple(tags), document=outer, **typed)

    @classmethod
    def new(cls, fields: Mapping[str, Any]) -> Self:
        """A card with these fields, of those in `EDITABLE`."""
        return cls.read({"spec": SPEC, "spec_version": SPEC_VERSION, "data": dict(fields)})

    def edited(self, fields: Mapping[str, Any]) -> Self:
        """The card with these fields, of those in `EDITABLE`, replaced and everything else as it was."""
        unknown = fields.keys() - EDITABLE
        if unknown:
            raise InvalidCard(f"These are not fields of a character: {', '.join(sorted(unknown))}.")
        document = dict(self.document)
        data = document["data"] = {**self.data, **fields}
        card = type(self).read({**document, "data": data})
        for mirror, key in _MIRRORS.items():
            if mirror in card.document and key in fields:
                card.document[mirror] = card.data[key]
        return card

    def with_data(self, **values: Any) -> Self:
        """The card with other keys of `data` set; for keys that are not edited by people, such as dates."""
        return type(self).read({**self.document, "data": {**self.data, **values}})

    def as_v2(self) -> dict[str, Any]:
        """The document as readers of v2 expect it; v3's additions stay, as keys they do not know."""
        return {**self.document, "spec": V2_SPEC, "spec_version": V2_SPEC_VERSION}


def _split(document: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is beside `data`, and a copy of `data`, of a card of any version."""
    spec = document.get("spec")
    if isinstance(spec, str) and spec.startswith("lorebook"):
        raise InvalidCard("This is a lorebook, not a character: put it into a character's `character_book`.")
    data = document.get("data")
    outer = {key: value for key, value in document.items() if key != "data"}
    if isinstance(data, dict):
        return outer, dict(data)
    flat = {key: outer.pop(key) for key in _DATA_KEYS & outer.keys()}
    for key, known in _PYGMALION.items():
        if key in outer and known not in flat:
            flat[known] = outer.pop(key)
    if data is not None or "name" not in flat or not flat.keys() & set(TEXTS):  # much that is no card has a name
        raise InvalidCard("This is not a character card: there is no character with a name and a description in it.")
    return outer, flat


def _name(data: Mapping[str, Any]) -> str:
    name = clean_line(_text(data, "name"))
    if not is_visible(name):
        raise InvalidCard("The character has no name.")
    if len(name) > limits.NAME:
        raise InvalidCard(f"The character's name is too long: {len(name):,} characters, {limits.NAME} are allowed.")
    return name


def _text(data: Mapping[str, Any], key: str, limit: int = limits.FIELD) -> str:
    value = data.get(key)
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)  # "character_version": 1.1
    if not isinstance(value, str):
        raise InvalidCard(f"The card's `{key}` must be text, not {_kind(value)}.")
    if len(value) > limit:
        raise InvalidCard(f"The card's `{key}` is too long: {len(value):,} characters, {limit:,} are allowed.")
    return clean_text(value)


def _strings(data: Mapping[str, Any], key: str) -> list[Any]:
    """The list under `key`; a single text counts as a list of one, nothing as an empty one."""
    value = data.get(key)
    if value is None or value == "" or value == {}:
        return []
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise InvalidCard(f"The card's `{key}` must be a list of texts, not {_kind(value)}.")
    return value


def _greetings(data: Mapping[str, Any], key: str) -> list[str]:
    values = _strings(data, key)
    if len(values) > limits.GREETINGS:
        raise InvalidCard(f"The card has {len(values):,} `{key}`; {limits.GREETINGS} are allowed.")
    return [_text({key: value}, key) for value in values if value is not None]


def _tags(data: Mapping[str, Any]) -> list[str]:
    value = data.get("tags")
    values = value.split(",") if isinstance(value, str) else _strings(data, "tags")
    tags: dict[str, str] = {}
    for value in values:
        tag = clean_line(_text({"tags": value}, "tags", limits.TAG))
        if tag:
            tags.setdefault(tag.casefold(), tag)
    if len(tags) > limits.TAGS:
        raise InvalidCard(f"The card has {len(tags):,} tags; {limits.TAGS} are allowed.")
    return list(tags.values())


def _extensions(data: Mapping[str, Any]) -> dict[str, Any]:
    value = data.get("extensions")
    if value is None or value == []:  # PHP writes an empty object so
        return {}
    if not isinstance(value, dict):
        raise InvalidCard(f"The card's `extensions` must be an object, not {_kind(value)}.")
    return {key: item for key, item in value.items() if key != OURS}


def _check_book(book: object) -> None:
    """The lorebook is kept as it came, whatever is in it; only its size is bounded."""
    entries = book.get("entries") if isinstance(book, dict) else None
    if not isinstance(entries, list | dict):
        return
    if len(entries) > limits.LORE_ENTRIES:
        raise InvalidCard(f"The card's lorebook has {len(entries):,} entries; {limits.LORE_ENTRIES:,} are allowed.")


def _kind(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "an object"
