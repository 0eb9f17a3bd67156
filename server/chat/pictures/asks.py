"""What a person asks for when they want a picture, and how it reads in the conversation.

A request is a message like any other: it is stored, recalled and deleted as one. What it asks for is kept beside its
words, in `Message.extra`, so that it can be asked again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from server.catalog.items.model import Item

__all__ = ["How", "PictureAsk", "caption"]

How = Literal["show", "wear", "give"]
"""`show` it on; `wear` it from now on; `give` it to the character, who wears it from now on."""

_KIND = "asks"
_PICTURE = "picture"


@dataclass(frozen=True, slots=True)
class PictureAsk:
    """`item` None: what the character has on. `scene`: a person's words for where and how, None for the look's own."""

    item: str | None = None
    scene: str | None = None
    how: How = "show"

    def extra(self) -> dict[str, str]:
        """As a message keeps it."""
        kept = {_KIND: _PICTURE, "how": self.how, "item": self.item, "scene": self.scene}
        return {name: value for name, value in kept.items() if value}

    @classmethod
    def of(cls, extra: Mapping[str, str]) -> "PictureAsk | None":
        """What a message asks for; None where it is no picture."""
        if extra.get(_KIND) != _PICTURE:
            return None
        return cls(extra.get("item"), extra.get("scene"), cast(How, extra.get("how", "show")))

    def words(self, item: Item | None) -> str:
        """The request as a message says it."""
        title = f" “{item.title}”" if item else ""
        scene = f" {self.scene}" if self.scene else ""
        if self.how == "give":
            return f"*gives you{title}*{scene}"
        return f"/{'wear' if self.how == 'wear' else _PICTURE}{title}{scene}"


def caption(char: str, item: Item | None, scene: str | None) -> str:
    """What stands under the picture, and what a language model reads in its place."""
    wearing = f" wearing “{item.title}”" if item else ""
    return f"(A picture of {char}{wearing}{f': {scene}' if scene else ''})"
