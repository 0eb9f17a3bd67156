"""One rung asked once: money put aside, tokens streamed, the cost settled on every way out, and all of it noted."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Protocol

from server.errors import (
    BudgetExceeded,
    GenerationDisabled,
    ModelError,
    ModelMisconfigured,
    ModelRefused,
    ModelTimeout,
    ModelUnknown,
)
from server.routing.breaker import Breaker
from server.routing.calls import Call
from server.routing.clock import Clock
from server.routing.journal import REFUSALS, Entry, Journal
from server.routing.policy.routes import Rung
from server.routing.prices import Price
from server.routing.spending import Attempt, Hold, Outcome, Spending, Status
from server.routing.types import AttemptOutcome, Finished, ModelInfo, ModelRequest, Token, Tried


class Endpoint(Protocol):
    """A provider's models; `ChatEndpoint` and `BundledModel` are ones."""

    @property
    def info(self) -> ModelInfo: ...

    def stream(self, request: ModelRequest, call: Call | None = None) -> AsyncGenerator[Token | Finished, None]: ...

    async def check(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Tariff:
    """What a rung costs. `sure`: by the provider's list or an operator's cap, not by a guess."""

    price: Price
    sure: bool

    def within(self, cap: Price | None) -> bool:
        """Whether it is surely not above `cap`, or nobody knows."""
        return cap is None or not self.sure or self.price.within(cap)


@dataclass(frozen=True, slots=True)
class Ask:
    """A rung to be asked: which, with what, and for how long. Seconds; `tried` takes how it went."""

    turn: str
    number: int
    rung: Rung
    request: ModelRequest
    mode: str | None
    silence: float
    total: float
    first: float | None
    tried: list[Tried]


class Attempts:
    """Makes attempts. `tariff` says what a rung costs; without `spending` nothing is counted."""

    def __init__(
        self,
        endpoints: Mapping[str, Endpoint],
        *,
        tariff: Callable[[Rung], Tariff],
        breaker: Breaker,
        journal: Journal,
        spending: Spending | None = None,
    ) -> None:
        self._endpoints = endpoints
        self._tariff = tariff
        self._breaker = breaker
        self._journal = journal
        self._spending = spending
        self._finishing: set[asyncio.Task[None]] = set()

    async def run(self, ask: Ask) -> AsyncGenerator[Token | Finished, None]:
        """Tokens, then one `Finished`. Closing it settles too.

        An answer does not wait for its settlement: until then all that was reserved stays charged, and should this
        process be killed before, another settles it like any attempt that was cut off.

        Raises:
            ModelError: as the endpoint's stream does.
            BudgetExceeded, GenerationDisabled: nothing was asked.
        """
        tariff = self._tariff(ask.rung)
        hold = await self._reserve(ask, tariff.price)
        naming: list[asyncio.Task[None]] = []

        def identified(generation: str) -> None:
            if hold is not None:  # beside the stream: no token waits for the ledger
                naming.append(asyncio.create_task(hold.identified(generation)))

        call = Call(
            Clock(ask.silence, ask.total, ask.first),
            model=ask.rung.model,
            preferences=ask.rung.preferences,
            on_identified=identified,
        )
        finished: Finished | None = None
        error: ModelError | None = None
        try:
            async with aclosing(self._endpoints[ask.rung.provider].stream(_adapted(ask), call)) as events:
                async for event in events:
                    if isinstance(event, Finished):
                        finished = event
                    else:
                        yield event
        except ModelError as failed:
            error = failed
            raise
        finally:
            entry = _entry(ask, call, tariff, finished, error)
            ask.tried.append(entry.tried())
            self._journal.write(entry)
            settling = self._to_the_end(self._settle(entry, ask.rung, hold, naming, error))
            if finished is None:  # the next rung is to find what this one gave back, and the breaker told
                await asyncio.shield(settling)
        if finished is not None:
            yield finished

    async def _reserve(self, ask: Ask, price: Price) -> Hold | None:
        request = ask.request
        if self._spending is None or request.payer is None:
            return None
        limit = _max_tokens(ask)
        amount = 0 if price.free else price.most(request.messages, limit)
        model = ask.rung.model or self._endpoints[ask.rung.provider].info.name
        attempt = Attempt(ask.turn, ask.number, model, ask.rung.provider, ask.mode, request.purpose)
        try:
            return await self._spending.reserve(request.payer, attempt, amount)
        except (BudgetExceeded, GenerationDisabled):
            await self._breaker.released(ask.rung.provider, ask.rung.model or "")  # it was not asked after all
            raise

    async def _settle(
        self,
        entry: Entry,
        rung: Rung,
        hold: Hold | None,
        naming: list[asyncio.Task[None]],
        error: ModelError | None,
    ) -> None:
        if hold is not None:
            for task in naming:
                await task
            await hold.settle(Outcome(_status(entry.outcome), entry.cost, entry.usage))
        await self._tell_breaker(rung, entry.outcome, error)

    async def _tell_breaker(self, rung: Rung, outcome: AttemptOutcome, error: ModelError | None) -> None:
        key = rung.provider, rung.model or ""
        if outcome == "answered" or outcome in REFUSALS:  # one that refuses is at work
            await self._breaker.succeeded(*key)
        elif outcome in ("aborted", "misconfigured"):
            await self._breaker.released(*key)
        else:
            wait = error.details.get("retry_after") if error else None
            await self._breaker.failed(*key, wait if isinstance(wait, int | float) else None)

    def _to_the_end(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Does `work` to its end, also when whoever waits for it is cancelled."""
        task = asyncio.create_task(work, name="settling")
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)
        return task

    async def drain(self) -> None:
        """Waits until every attempt that ended is settled."""
        while self._finishing:
            await asyncio.wait(self._finishing)


def _max_tokens(ask: Ask) -> int:
    limit = ask.rung.max_tokens
    return ask.request.max_tokens if limit is None else min(limit, ask.request.max_tokens)


def _adapted(ask: Ask) -> ModelRequest:
    """The request as this model is to get it. What a caller says of the temperature goes first."""
    request, rung = ask.request, ask.rung
    limit = _max_tokens(ask)
    if limit == request.max_tokens and (rung.temperature is None or request.temperature is not None):
        return request
    warmth = rung.temperature if request.temperature is None else request.temperature
    return replace(request, max_tokens=limit, temperature=warmth)


def _entry(ask: Ask, call: Call, tariff: Tariff, finished: Finished | None, error: ModelError | None) -> Entry:
    details = error.details if error else {}
    reason = finished.reason if finished else details.get("reason")
    status = details.get("upstream_status")
    model = call.model or ask.rung.model or ""
    return Entry(
        turn=ask.turn,
        rung=ask.number,
        model=model,
        label=model if ask.rung.listed else "other",
        provider=ask.rung.provider,
        tier=ask.request.tier,
        mode=ask.mode,
        purpose=ask.request.purpose,
        outcome=_outcome(finished, error),
        reason=reason if isinstance(reason, str) else None,
        status=status if isinstance(status, int) else None,
        first=call.first,
        total=call.seconds,
        usage=call.usage,
        cost=_cost(call, tariff),
    )


def _outcome(finished: Finished | None, error: ModelError | None) -> AttemptOutcome:
    if error is None:
        return "aborted" if finished is None else "answered"
    if error.details.get("partial"):
        return "cut_off"
    match error:
        case ModelRefused():
            refusal = error.details.get("refusal")
            return refusal if refusal in REFUSALS else "empty"
        case ModelTimeout():
            return "timeout"
        case ModelUnknown():
            return "unknown_model"
        case ModelMisconfigured():
            return "misconfigured" if not error.details.get("in_stream") else "unavailable"
    return "rate_limited" if error.details.get("upstream_status") == 429 else "unavailable"


def _status(outcome: AttemptOutcome) -> Status:
    match outcome:
        case "answered":
            return "done"
        case "cut_off":
            return "cut"
        case "aborted":
            return "cancelled"
    return "refused" if outcome in REFUSALS else "failed"


def _cost(call: Call, tariff: Tariff) -> int | None:
    """What the attempt cost in micro-dollars, as far as it is known: said, or by price, or nothing at all."""
    if call.usage is not None and call.usage.cost is not None:
        return call.usage.cost
    if not call.sent or (tariff.sure and tariff.price.free):
        return 0
    if call.usage is not None and tariff.sure:
        return tariff.price.cost(call.usage)
    return None
