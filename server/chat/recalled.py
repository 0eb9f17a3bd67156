"""Recalled memory for a prompt: which turns of it still fit, and how they read."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime

from server.chat.fence import Fence, indented
from server.ids import parse_message_id
from server.memory.tokens import estimate_tokens
from server.memory.views import MemorySpan, MemoryTurn

SPAN_TOKENS = 12
"""What a span costs beside its turns: its date and the blank line before it."""


def selected(spans: Sequence[MemorySpan], *, before_seq: int | None, tokens: int) -> tuple[MemorySpan, ...]:
    """The best turns within `tokens`, in the order of the conversation.

    Args:
        before_seq: turns from here on stand in the prompt anyway, as recent messages.
    """
    groups = [(index, turn) for index, span in enumerate(spans) for turn in span.turns]
    if before_seq is not None:
        groups = [(index, turn) for index, turn in groups if parse_message_id(turn.message_id)[1] < before_seq]
    kept: set[str] = set()
    opened: set[int] = set()
    for index, turn in sorted(groups, key=lambda item: item[1].score, reverse=True):
        cost = turn_tokens(turn) + (0 if index in opened else SPAN_TOKENS)
        if cost > tokens:
            continue
        tokens -= cost
        kept.add(turn.message_id)
        opened.add(index)
    return tuple(
        _narrowed(span, turns)
        for span in spans
        if (turns := tuple(turn for turn in span.turns if turn.message_id in kept))
    )


def turn_tokens(turn: MemoryTurn) -> int:
    return estimate_tokens(f"{turn.speaker}: {turn.text}")


def as_text(spans: Sequence[MemorySpan], fence: Fence, today: date) -> str:
    """The spans as dated excerpts. Every line that begins at the margin is ours."""
    blocks = []
    for span in spans:
        lines = [f"{_day(span.start)} ({_ago(span.start.date(), today)}):"]
        lines += [f"- {fence.safe(turn.speaker)}: {indented(fence.safe(turn.text))}" for turn in span.turns]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def long_date(day: date) -> str:
    """Such as `Monday, 23 November 2026`."""
    return f"{day:%A}, {day.day} {day:%B} {day.year}"


def _day(moment: datetime) -> str:
    return long_date(moment.date())


def _ago(day: date, today: date) -> str:
    days = (today - day).days
    if days <= 0:
        return "today"
    if days == 1:
        return "yesterday"
    if days < 14:
        return f"{days} days ago"
    if days < 60:
        return f"{days // 7} weeks ago"
    if days < 730:
        return f"{round(days / 30.4)} months ago"
    return f"{round(days / 365.25)} years ago"


def _narrowed(span: MemorySpan, turns: tuple[MemoryTurn, ...]) -> MemorySpan:
    if len(turns) == len(span.turns):
        return span
    return replace(
        span,
        start_id=turns[0].message_id,
        end_id=turns[-1].message_id,
        start=turns[0].created,
        end=turns[-1].created,
        turns=turns,
    )
