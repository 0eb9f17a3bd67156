"""What a companion remembers, read at once for a program outside: lately, the summary, what a question brings back."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from server.chat.budget import clipped
from server.chat.party import Party
from server.chat.recalled import as_text
from server.memory.messages import Message, Role
from server.memory.service import Memory
from server.memory.tokens import estimate_tokens
from server.memory.views import MemorySpan

SUMMARY_SHARE, RECALL_SHARE = 0.25, 0.45
"""Of the budget, at most; what they leave is for what was said lately."""
_HEADINGS = 24
"""Tokens of the three headings."""


@dataclass(frozen=True, slots=True)
class Recollection:
    """`text` is all of it, ready for a prompt, of at most as many tokens as were asked for.

    `recent` and `spans` are where it came from: each message has its id.
    """

    summary: str | None
    recent: Sequence[Message]
    spans: Sequence[MemorySpan]
    text: str
    tokens: int


async def recollect(memory: Memory, party: Party, query: str, tokens: int) -> Recollection:
    """Reads what `query` is about (nothing of it where it is blank), the summary and the newest messages.

    Raises:
        StoreUnavailable: a store does not answer.
    """
    scope, room = party.scope, max(0, tokens - _HEADINGS)
    summary, spans = await asyncio.gather(memory.summary(scope), _recalled(memory, party, query, room))
    told = clipped(summary.text, int(room * SUMMARY_SHARE)) if summary else ""
    found = as_text(spans, party.fence)
    left = room - estimate_tokens(told) - estimate_tokens(found)
    recent = await memory.recent(scope, max_tokens=max(0, left))
    said = "\n".join(f"{_speaker(party, one)}: {party.fence.safe(one.text)}" for one in recent)
    parts = [
        f"{title}:\n{text}"
        for title, text in (("What is known", told), ("Remembered", found), ("Said lately", _newest(said, left)))
        if text
    ]
    text = "\n\n".join(parts)
    return Recollection(summary.text if summary else None, recent, spans, text, estimate_tokens(text))


def _newest(text: str, tokens: int) -> str:
    """The newest end of `text` within `tokens`."""
    return clipped(text, tokens, keep_end=True) if tokens > 0 else ""


async def _recalled(memory: Memory, party: Party, query: str, room: int) -> Sequence[MemorySpan]:
    budget = int(room * RECALL_SHARE)
    if not query.strip() or budget <= 0:
        return ()
    return (await memory.recall(party.scope, query, speakers=party.speakers, budget_tokens=budget)).spans


def _speaker(party: Party, message: Message) -> str:
    return party.who.user_name if message.role is Role.USER else party.card.char
