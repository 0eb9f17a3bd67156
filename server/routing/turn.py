"""The way of one request down its chain: whom to ask next, for how long, and how it ends when nobody answered."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable
from dataclasses import asdict, dataclass, replace

from server.errors import BudgetExceeded, ModelError, ModelExhausted
from server.routing.attempts import Ask, Tariff
from server.routing.breaker import Breaker
from server.routing.failures import mended_by_another
from server.routing.journal import REFUSALS, Entry, Journal
from server.routing.policy.routes import Route, Rung
from server.routing.types import AttemptOutcome, Finished, ModelRequest, Tried

LEAST_SECONDS = 0.05
"""Nobody is asked for less: it could only fail."""

_REFUSED = "None of the models gave a usable reply. Try a shorter or clearer message."
_NOBODY = "No model could answer just now. Try again in a moment, or with a shorter or clearer message."


@dataclass(frozen=True, slots=True)
class Skips:
    """What passes a rung by: a breaker that rests it, a price above its cap. The journal hears of it."""

    breaker: Breaker
    tariff: Callable[[Rung], Tariff]
    journal: Journal


class Turn:
    """One request. Its deadlines run from here on, and all rungs share them."""

    def __init__(self, request: ModelRequest, route: Route, skips: Skips) -> None:
        self._request = request
        self._route = route
        self._skips = skips
        self._id = secrets.token_hex(8)
        self._now = asyncio.get_running_loop().time
        self._began = self._now()
        self._tried: list[Tried] = []
        self._error: ModelError | None = None
        self._over_budget: BudgetExceeded | None = None
        self._waits: list[float] = []

    async def asks(self) -> AsyncGenerator[Ask, None]:
        """The rungs to be asked, one after the other, for as long as the caller goes on."""
        rungs = self._route.rungs
        rests = await self._skips.breaker.rests([_key(rung) for rung in rungs])
        for index, rung in enumerate(rungs):
            if not self._skips.tariff(rung).within(rung.cap):
                self._skip(index, "too_dear")
                continue
            others = sum(rest == 0 for rest in rests[index + 1 :])
            total, first = self._left(rung, others)
            if total < LEAST_SECONDS or (first is not None and first < LEAST_SECONDS):
                return
            rest = rests[index] or await self._skips.breaker.admit(*_key(rung))
            if rest:
                self._waits.append(rest)
                self._skip(index, "resting")
                continue
            yield Ask(
                self._id,
                index + 1,
                rung,
                self._request,
                self._route.mode,
                self._route.silence_seconds,
                total,
                first,
                self._tried,
            )

    def _left(self, rung: Rung, others: int) -> tuple[float, float | None]:
        """Seconds for the whole reply, and to its first token.

        What is left of the chain's time to the first token is halved while there are others to be asked, so that a
        model that hangs leaves time for them; the last one gets all of it.
        """
        gone = self._now() - self._began
        total, whole = self._route.total_seconds - gone, self._route.first_token_seconds
        if whole is None:
            return total, rung.patience
        first = (whole - gone) / 2 if others else whole - gone
        return total, first if rung.patience is None else min(whole - gone, rung.patience)

    def finished(self, ask: Ask, finished: Finished) -> Finished:
        """The last event, with the way that led to it."""
        self._skips.journal.turn("fallback" if ask.number > 1 else "answered")
        return replace(finished, attempt=ask.number, attempts=tuple(self._tried))

    def failed(self, error: ModelError) -> None:
        """A rung failed. Raises where another model would not do better."""
        if not mended_by_another(error) and not error.details.get("partial"):
            self._skips.journal.turn("unanswered")
            raise self._told(error) from error.__cause__
        wait = error.details.get("retry_after")
        if isinstance(wait, int | float):
            self._waits.append(wait)
        self._error = error

    def cut_off(self) -> None:
        """It failed after something was shown."""
        self._skips.journal.turn("cut_off")

    def over_budget(self, ask: Ask, error: BudgetExceeded) -> None:
        """A ceiling leaves no room for this rung; a cheaper one may still fit."""
        self._over_budget = error
        self._skip(ask.number - 1, "over_budget")

    def polite_end(self) -> Exception:
        """What to raise when no rung answered."""
        self._skips.journal.turn("unanswered")
        if self._over_budget is not None and self._error is None:
            return self._over_budget
        if len(self._route.rungs) == 1 and self._error is not None:
            return self._error  # it says more than "nobody"
        refused = any(tried.outcome in REFUSALS for tried in self._tried)
        details: dict[str, object] = {"attempts": self._attempts(), "partial": False}
        if self._waits and not refused:
            details["retry_after"] = min(self._waits)
        end = ModelExhausted(_REFUSED if refused else _NOBODY, **details)
        end.__cause__ = self._error
        return end

    def _told(self, error: ModelError) -> ModelError:
        """`error`, with the way that led to it where there was one."""
        if len(self._route.rungs) == 1:
            return error
        return type(error)(error.message, **error.details, attempts=self._attempts())

    def _attempts(self) -> list[dict[str, object]]:
        return [asdict(tried) for tried in self._tried]

    def _skip(self, index: int, outcome: AttemptOutcome) -> None:
        rung = self._route.rungs[index]
        entry = Entry(
            turn=self._id,
            rung=index + 1,
            model=rung.model or "",
            label=(rung.model or "") if rung.listed else "other",
            provider=rung.provider,
            tier=self._request.tier,
            mode=self._route.mode,
            purpose=self._request.purpose,
            outcome=outcome,
        )
        self._tried.append(entry.tried())
        self._skips.journal.write(entry)


def _key(rung: Rung) -> tuple[str, str]:
    return rung.provider, rung.model or ""
