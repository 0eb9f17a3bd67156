"""From ranked turns to what is shown: as many of the best as the budget holds, as dated spans in order of time."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from server.memory.ranking.index import ConversationIndex
from server.memory.ranking.model import RecalledTurn, Span
from server.memory.ranking.scoring import Ranking
from server.memory.tokens import weigh

THRIFT = 0.5  # how much a turn's cost counts against it; 1 would be relevance per token
PATIENCE = 50  # turns in a row that no longer fit before we stop looking for shorter ones
_SLACK = 0.01  # float32 sums
_HEADER = weigh("[Mon 2023-05-08]")  # every header is two words


def date_header(when: datetime) -> str:
    """Such as "[Mon 2023-05-08]": the weekday lets a reader resolve "last Friday"."""
    return f"[{when:%a %Y-%m-%d}]"


def render(spans: Sequence[Span]) -> str:
    """The text the budget is counted on: a header where the day changes, "speaker: text", an empty line for a gap."""
    lines: list[str] = []
    shown = None
    for span in spans:
        header = date_header(span.start)
        if lines:
            lines.append("")
        if header != shown:
            lines.append(header)
            shown = header
        lines.extend(f"{turn.speaker}: {turn.text}" for turn in span.turns)
    return "\n".join(lines)


def pack(index: ConversationIndex, ranking: Ranking, budget_tokens: int) -> tuple[Span, ...]:
    """The best turns whose `render` costs at most `budget_tokens` by `estimate_tokens`.

    Scores are log-odds, so relevance for its price is the score less the log of the cost, of which `THRIFT` is taken.
    A turn that does not fit is passed over for the next that does; none is cut. Neighbours of one day become one span.
    """
    left = float(budget_tokens) - _SLACK
    chosen: dict[int, float] = {}
    days: set[int] = set()
    misses = 0
    cost, day = index.cost.rows, index.day.rows
    value = ranking.scores - THRIFT * np.log(cost[ranking.rows] + 1.0)
    order = np.argsort(-value, kind="stable")
    for row, score in zip(ranking.rows[order].tolist(), ranking.scores[order].tolist(), strict=True):
        price = float(cost[row])
        on = int(day[row])
        if on not in days:
            price += _HEADER
        if price > left:
            misses += 1
            if misses > PATIENCE or left <= 0:
                break
            continue
        misses = 0
        left -= price
        days.add(on)
        chosen[row] = score
    return _spans(index, chosen)


def _spans(index: ConversationIndex, chosen: dict[int, float]) -> tuple[Span, ...]:
    spans: list[list[int]] = []
    for row in sorted(chosen):
        if spans and spans[-1][-1] == row - 1 and index.day.rows[row - 1] == index.day.rows[row]:
            spans[-1].append(row)
        else:
            spans.append([row])
    return tuple(_span(index, rows, chosen) for rows in spans)


def _span(index: ConversationIndex, rows: list[int], scores: dict[int, float]) -> Span:
    turns = tuple(RecalledTurn(int(index.seq.rows[row]), *index.said[row], scores[row]) for row in rows)
    return Span(turns[0].seq, turns[-1].seq, turns, turns[0].created, turns[-1].created)
