"""How many tokens each part of a prompt may cost, and cutting a text to size."""

from dataclasses import dataclass
from typing import Self

from server.memory.tokens import estimate_tokens
from server.settings import Plan

MESSAGE_TOKENS = 4
"""What a message costs beside its text: role, separators (OpenAI's cookbook counts 3 to 4)."""
MARGIN = 0.75
"""Share of a model's own context we plan with: tokens are estimated from words, and other languages cost more."""
BUNDLED_TOKENS = 1_400
"""The model that ships reads a few hundred tokens a second on two cores: people would wait for every further one."""
REPLY_SHARE, RECALL_SHARE = 0.25, 0.25
"""At most these shares of a small model's context for the reply and, of the rest, for recalled memory."""

_ENDS = ("\n", ". ", "! ", "? ", ".” ", '." ', "。", "！", "？")
_MARK = "…"


@dataclass(frozen=True, slots=True)
class Budget:
    """Tokens of one turn: `prompt` for all that is sent, of it at most `recall` for memory, and `reply`."""

    prompt: int
    recall: int
    reply: int

    @classmethod
    def of(cls, plan: Plan, model_context: int | None, *, bundled: bool = False) -> Self:
        """A plan's budget, within what the model can take (`model_context` tokens, None where it is not known)."""
        room = None if not model_context else int(model_context * MARGIN)
        if bundled:
            room = min(room or BUNDLED_TOKENS, BUNDLED_TOKENS)
        if room is None or room >= plan.context_tokens:
            return cls(plan.context_tokens - plan.reply_tokens, plan.recall_tokens, plan.reply_tokens)
        reply = min(plan.reply_tokens, int(room * REPLY_SHARE))
        return cls(room - reply, min(plan.recall_tokens, int((room - reply) * RECALL_SHARE)), reply)


def clipped(text: str, tokens: int, *, keep_end: bool = False) -> str:
    """`text` within `tokens`, cut after a sentence where one ends near; a cut text ends (or begins) with `…`.

    With `keep_end` the beginning goes instead. Empty where not even a few words fit.
    """
    if estimate_tokens(text) <= tokens:
        return text
    room = tokens - 2  # for the mark
    part = text
    while room > 0 and part and (cost := estimate_tokens(part)) > room:
        size = min(len(part) - 1, int(len(part) * room / cost))
        part = part[len(part) - size :] if keep_end else part[:size]
    if room <= 0 or not part.strip():
        return ""
    if keep_end:
        return f"{_MARK} {part[_first_end(part) :].lstrip()}"
    return f"{part[: _last_end(part)].rstrip()} {_MARK}"


def _last_end(part: str) -> int:
    """Where the last sentence in the last third ends, else the last word, else the whole."""
    least = len(part) * 2 // 3
    end = max(at + len(mark) if (at := part.rfind(mark, least)) >= 0 else -1 for mark in _ENDS)
    if end < 0:
        end = part.rfind(" ", least)
    return end if end > 0 else len(part)


def _first_end(part: str) -> int:
    most = len(part) // 3
    starts = [at + len(mark) for mark in _ENDS if (at := part.find(mark, 0, most)) >= 0]
    if starts:
        return min(starts)
    return max(part.find(" ", 0, most), 0)
