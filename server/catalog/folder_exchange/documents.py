"""What is carried: the shop's items and the looks, as one document or spread over a folder.

index.json                     format, and what there should be
items/<id>/item.json           an item of the shop
items/<id>/reference.png       its picture
looks/<character>.json         a look
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from server.catalog.fields import Title
from server.catalog.items.drafts import ItemFields
from server.catalog.looks.model import LookFields
from server.errors import InvalidId
from server.ids import check_slug

__all__ = ["FORMAT", "MOST", "Index", "ItemDocument", "LookDocument", "Problem", "item_problems", "look_problems"]

FORMAT = "vestige-catalog/1"
MOST = 5_000
"""Items in one document, and looks."""


class Problem(BaseModel):
    """What is wrong with one of the documents, and where: `items/red-coat` or `looks/mira`."""

    where: str
    problem: str


class Index(BaseModel):
    """What a folder says of itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: str
    items: Annotated[list[str], Field(max_length=MOST)]
    looks: Annotated[list[str], Field(max_length=MOST)]


class ItemDocument(ItemFields):
    """An item of the shop. Its id is the name of its folder."""

    title: Title
    public: bool = True


class LookDocument(LookFields):
    """A character's look. The character's id is the name of its file."""


_ITEM, _LOOK = TypeAdapter(ItemDocument), TypeAdapter(LookDocument)


def item_problems(id: str, data: Any) -> tuple[ItemDocument | None, list[Problem]]:
    """The item, or everything that is wrong with it."""
    return _read(_ITEM, f"items/{id}", id, data)


def look_problems(character: str, data: Any) -> tuple[LookDocument | None, list[Problem]]:
    """The look, or everything that is wrong with it."""
    return _read(_LOOK, f"looks/{character}", character, data)


def _read(kind: TypeAdapter[Any], where: str, id: str, data: Any) -> tuple[Any, list[Problem]]:
    problems: list[Problem] = []
    try:
        check_slug(id, "id")
    except InvalidId as error:
        problems.append(Problem(where=where[:120], problem=error.message))
    try:
        read = kind.validate_python(data)
    except ValidationError as error:
        for each in error.errors(include_url=False, include_context=False, include_input=False):
            field = ".".join(str(part)[:64] for part in each["loc"])
            problems.append(Problem(where=where[:120], problem=f"{field}: {each['msg']}" if field else each["msg"]))
        return None, problems
    return (None if problems else read), problems
