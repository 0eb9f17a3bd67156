"""How well the chains answered lately, for an admin's plots."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from server.errors import StoreUnavailable
from server.routing.breaker import Breaker, Health
from server.routing.policy.routes import Routes
from server.routing.tally import Hour, Tally


@dataclass(frozen=True, slots=True)
class Totals:
    """Requests, those another model than the first answered, those nobody did; attempts, silent refusals, failures."""

    turns: int
    fallbacks: int
    unanswered: int
    attempts: int
    refused: int
    failed: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """An hour, named by its beginning."""

    at: datetime
    totals: Totals


@dataclass(frozen=True, slots=True)
class ModelReport:
    """A model in a mode. `first_token_ms`: the mean; `cooling_until`: it rests."""

    model: str
    mode: str | None
    attempts: int
    refused: int
    failed: int
    first_token_ms: int | None
    cooling_until: datetime | None


@dataclass(frozen=True, slots=True)
class Report:
    total: Totals
    buckets: Sequence[Bucket]
    models: Sequence[ModelReport]


class Reporter:
    """Puts the tally and the breaker together."""

    def __init__(
        self,
        tally: Tally,
        breaker: Breaker,
        routes: Routes | None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._tally = tally
        self._breaker = breaker
        self._routes = routes
        self._clock = clock

    async def report(self, hours: int) -> Report:
        """The last `hours` hours.

        Raises:
            StoreUnavailable: the counts cannot be read.
        """
        read = await self._tally.read(hours)
        resting = await self._resting()
        counts: dict[tuple[str, str], Counter[str]] = {}
        for hour in read:
            for place, counted in hour.models.items():
                counts.setdefault(place, Counter()).update(counted)
        for model in resting.keys() - {model for model, _ in counts}:
            counts[model, ""] = Counter()
        models = [_model(*place, counted, resting) for place, counted in counts.items()]
        return Report(
            _totals(read),
            [Bucket(hour.at, _totals([hour])) for hour in read],
            sorted(models, key=lambda one: (-one.attempts, one.model, one.mode or "")),
        )

    async def _resting(self) -> Mapping[str, datetime]:
        """Models of the policy that rest, and until when."""
        if self._routes is None:
            return {}
        known = [(rung.provider, rung.model) for rung in self._routes.rungs if rung.model is not None]
        try:
            found: Sequence[Health] = await self._breaker.health(known)
        except StoreUnavailable:
            return {}
        now = self._clock()
        return {
            model: now + timedelta(seconds=health.rest)
            for (_, model), health in zip(known, found, strict=True)
            if health.rest > 0
        }


def _totals(hours: Sequence[Hour]) -> Totals:
    turns: Counter[str] = Counter()
    models: Counter[str] = Counter()
    for hour in hours:
        turns.update(hour.turns)
        for counted in hour.models.values():
            models.update(counted)
    return Totals(
        turns=turns.total(),
        fallbacks=turns["fallback"],
        unanswered=turns["unanswered"],
        attempts=models["attempts"],
        refused=models["refused"],
        failed=models["failed"],
    )


def _model(model: str, mode: str, counted: Counter[str], resting: Mapping[str, datetime]) -> ModelReport:
    spoke = counted["first_count"]
    return ModelReport(
        model,
        mode or None,
        counted["attempts"],
        counted["refused"],
        counted["failed"],
        round(counted["first_ms"] / spoke) if spoke else None,
        resting.get(model),
    )
