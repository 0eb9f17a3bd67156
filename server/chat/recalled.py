"""Recalled memory as a prompt shows it."""

from collections.abc import Sequence
from datetime import date

from server.chat.fence import Fence, indented
from server.memory.ranking import date_header
from server.memory.views import MemorySpan


def as_text(spans: Sequence[MemorySpan], fence: Fence) -> str:
    """The spans as dated excerpts, in the form that recall's budget is counted on (`ranking.render`).

    Every line that begins at the margin is ours.
    """
    lines: list[str] = []
    shown = ""
    for span in spans:
        if lines:
            lines.append("")
        header = date_header(span.start)
        if header != shown:
            lines.append(header)
            shown = header
        lines += [f"{fence.safe(turn.speaker)}: {indented(fence.safe(turn.text))}" for turn in span.turns]
    return "\n".join(lines)


def long_date(day: date) -> str:
    """Such as `Monday, 23 November 2026`."""
    return f"{day:%A}, {day.day} {day:%B} {day.year}"
