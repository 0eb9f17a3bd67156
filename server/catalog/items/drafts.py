"""What a client may send to make or change an item."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from server.catalog.fields import Category, Hint, Price, Sha256, Title

__all__ = ["ItemChanges", "ItemDraft", "ItemFields"]


class ItemFields(BaseModel):
    """An item's fields but for its title. `price` is the shop's own, and nothing here reads it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    category: Category = "other"
    visual: bool = Field(default=True, description="Whether it shows on a character; else it is only owned.")
    prompt_hint: Hint = Field(default="", description="What the picture's prompt says of it, such as `red wool coat`.")
    reference: Sha256 | None = Field(default=None, description="The picture's sha256, from POST /v1/references.")
    price: Price | None = Field(default=None, description="The price tag: any JSON object of at most 4,096 bytes.")

    def sent(self) -> dict[str, Any]:
        """The fields that were sent."""
        return {name: getattr(self, name) for name in sorted(self.model_fields_set)}


class ItemDraft(ItemFields):
    """A new item. `private`: one's own upload, which nobody else sees; else it is the shop's, for its keepers to add.

    `id`: 1 to 64 of a-z, 0-9, `-` and `_`, for the shop's items only; one is made where it is not given.
    """

    id: str | None = None
    title: Title
    private: bool = False
    public: bool | None = Field(default=None, description="Whether everyone sees it in the shop; yes where not given.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.private and self.public:
            raise PydanticCustomError("private_public", "A private item cannot be public.")
        if self.private and self.id is not None:
            raise PydanticCustomError("private_id", "The id of a private item is made, not given.")
        return self

    def fields(self) -> dict[str, Any]:
        """The item's own fields, with their defaults."""
        names = (*ItemFields.model_fields, "title")
        return {name: getattr(self, name) for name in names}


class ItemChanges(ItemFields):
    """The fields to change; one that is not sent stays as it is. Not `public`, only those who own one see it."""

    title: Title = Field(default="", validate_default=False)
    public: bool = True
