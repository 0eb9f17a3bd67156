"""Each attempt's line in the log and its place in the metrics. Neither the prompt nor the reply is ever in it."""

from dataclasses import dataclass
from typing import Literal, Protocol

import structlog

from server.routing.types import AttemptOutcome, Tried, Usage

TurnOutcome = Literal["answered", "fallback", "unanswered", "cut_off"]
"""How a request ended: by the first model, by another, by none, or in the middle."""

REFUSALS: frozenset[AttemptOutcome] = frozenset({"content_filter", "refusal", "empty", "reasoning"})
"""The model answered, and said nothing that can be seen."""
SKIPPED: frozenset[AttemptOutcome] = frozenset({"resting", "too_dear", "over_budget"})
"""The model was not asked."""
NO_MODE = "none"


@dataclass(frozen=True, slots=True)
class Entry:
    """One rung and how it went. Seconds; `cost` in micro-dollars, None where it is not known (yet).

    `label`: the model as metrics name it, which is an id of the policy or `other`.
    """

    turn: str
    rung: int
    model: str
    label: str
    provider: str
    tier: str
    mode: str | None
    purpose: str
    outcome: AttemptOutcome
    reason: str | None = None
    status: int | None = None
    first: float | None = None
    total: float | None = None
    usage: Usage | None = None
    cost: int | None = None

    @property
    def asked(self) -> bool:
        return self.outcome not in SKIPPED

    @property
    def refused(self) -> bool:
        return self.outcome in REFUSALS

    def tried(self) -> Tried:
        return Tried(self.rung, self.model, self.provider, self.outcome, self.status, _ms(self.first), _ms(self.total))


class Counts(Protocol):
    """Where attempts and turns are counted; `AttemptMeters` and `Tally` are ones."""

    def attempt(self, entry: Entry) -> None: ...

    def turn(self, outcome: TurnOutcome) -> None: ...


class Journal:
    """Writes every attempt out, once, however it ended, and how each turn ended."""

    def __init__(self, *counts: Counts) -> None:
        self._counts = counts
        self._log = structlog.get_logger("vestige.model")

    def write(self, entry: Entry) -> None:
        usage = entry.usage
        self._log.info(
            "model call",
            turn=entry.turn,
            rung=entry.rung,
            model=entry.model,
            provider=entry.provider,
            tier=entry.tier,
            mode=entry.mode,
            purpose=entry.purpose,
            outcome=entry.outcome,
            reason=entry.reason,
            upstream_status=entry.status,
            first_token_ms=_ms(entry.first),
            total_ms=_ms(entry.total),
            prompt_tokens=usage.prompt_tokens if usage else None,
            completion_tokens=usage.completion_tokens if usage else None,
            cached_tokens=usage.cached_tokens if usage else None,
            cost_microdollars=entry.cost,
        )
        for counts in self._counts:
            counts.attempt(entry)

    def turn(self, outcome: TurnOutcome) -> None:
        """A request ended, other than by being left."""
        for counts in self._counts:
            counts.turn(outcome)


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
