"""What a client with prompts of its own brings to a turn: its system texts, and how the reply is to be sampled.

None of it is stored. It ranks below the operator's policy, the rules and the card, is fenced as material, and passes
the content gate with everything else that holds for every turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from server.catalog.cards import Card
from server.catalog.macros import expand
from server.chat.budget import clipped
from server.chat.fence import Fence, indented
from server.memory.tokens import estimate_tokens

FRONTEND_SHARE = 0.15
"""Of the prompt: all that a client may say beside the conversation."""
TOKEN_CHARACTERS = 40
"""Characters that a token has at most, but for blank space: what is longer by far need not be weighed as a whole."""
_LEAST_TOKENS = 16


@dataclass(frozen=True, slots=True)
class Frontend:
    """`before` stands ahead of the conversation, `after` behind it. `max_tokens` can only lower the plan's."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    max_tokens: int | None = None
    temperature: float | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        return self.before + self.after

    def fitted(self, card: Card, user: str, tokens: int) -> Self:
        """As it may stand in a prompt of this character: within `tokens`, and without what the card says already.

        Clients that have the card too send it with every call. What stands last counts most, as clients put there what
        they insist on.
        """
        known = _bare(" ".join(expand(text, card.char, user) for text in _texts(card)))
        room = tokens

        def fit(texts: Sequence[str]) -> tuple[str, ...]:
            nonlocal room
            kept: list[str] = []
            for text in reversed(texts):
                if room < _LEAST_TOKENS or _bare(text) in known:
                    continue
                cut = clipped(text[: room * TOKEN_CHARACTERS], room)
                if cut:
                    kept.insert(0, cut)
                    room -= estimate_tokens(cut)
            return tuple(kept)

        after = fit(self.after)
        return replace(self, before=fit(self.before), after=after)


PLAIN = Frontend()
"""A client that only says what the person said."""


def block(texts: Sequence[str], fence: Fence) -> str:
    """A client's texts, fenced; empty where there are none."""
    if not texts:
        return ""
    told = "(From the app that is used to write, on the setting and the style:)"
    return f"{told}\n{fence.wrap('app', chr(10).join(indented(fence.safe(text)) for text in texts))}"


def _texts(card: Card) -> tuple[str, ...]:
    return (
        card.system_prompt,
        card.description,
        card.personality,
        card.scenario,
        card.mes_example,
        card.post_history_instructions,
    )


def _bare(text: str) -> str:
    return "".join(text.split())
