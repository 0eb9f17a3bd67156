"""The character's part of a prompt: the card's fields in a fixed order, cut to size by what matters least."""

import re
from dataclasses import dataclass, fields
from typing import Self

from server.catalog.cards import Card
from server.catalog.macros import expand
from server.chat.budget import clipped
from server.chat.fence import Fence
from server.memory.tokens import estimate_tokens

_ORIGINAL = re.compile(r"\{\{\s*original\s*\}\}", re.IGNORECASE)
_TITLES = {
    "system_prompt": "How to play {char}",
    "description": "About {char}",
    "personality": "{char}'s personality",
    "scenario": "The situation",
    "mes_example": "Examples of how {char} talks (not things that happened)",
}
_PRIORITY = ("system_prompt", "description", "personality", "scenario", "mes_example")
"""Who gets room first. The order in the prompt is that of `_TITLES`."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A card's texts as this conversation has them: names in place, nothing in them that could break a fence."""

    char: str
    user: str
    system_prompt: str
    description: str
    personality: str
    scenario: str
    mes_example: str
    post_history_instructions: str

    @classmethod
    def of(cls, card: Card, user: str, fence: Fence) -> Self:
        """The sheet of `card` for a person called `user`."""
        texts = {}
        for field in fields(cls):
            if field.name not in ("char", "user"):
                # `{{original}}` asks for the frontend's own rules, which always stand before the card here.
                text = _ORIGINAL.sub("", getattr(card, field.name))
                texts[field.name] = fence.safe(expand(text, card.char, user)).strip()
        return cls(char=fence.safe(card.char), user=fence.safe(user), **texts)

    def fitted(self, tokens: int) -> tuple[str, list[str]]:
        """The sheet as text of at most `tokens`, and a note for each field that was cut or left out."""
        kept: dict[str, str] = {}
        notes: list[str] = []
        for name in _PRIORITY:
            text = getattr(self, name)
            if not text:
                continue
            title = _TITLES[name].format(char=self.char)
            room = tokens - estimate_tokens(f"{title}:")
            cut = clipped(text, room) if room > 0 else ""
            if cut != text:
                notes.append(f"{name} {'cut' if cut else 'left out'}: the card is too large for this plan")
            if cut:
                kept[name] = f"{title}:\n{cut}"
                tokens -= estimate_tokens(kept[name])
        return "\n\n".join(kept[name] for name in _TITLES if name in kept), notes
