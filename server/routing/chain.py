"""The chain: a primary, another provider, a last resort, and a polite end. One `LanguageModel` over many.

The next rung is asked where another model may do better (`failures.mended_by_another`). Nothing is shown before the
first usable token, so a silent refusal is never seen; after it there is no switch: a failure ends the turn, and what
came is kept. `complete` shows nothing before its end, so there a reply that broke off is made anew by the next rung.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace

from server.errors import BudgetExceeded, ModelError
from server.routing.attempts import Attempts, Endpoint
from server.routing.endpoint import collect
from server.routing.policy.routes import Routes
from server.routing.turn import Skips, Turn
from server.routing.types import Finished, ModelInfo, ModelRequest, Token

WHO_IS_ASKED_FIRST = ModelRequest(())
WHO_WRITES_MEMORY = ModelRequest((), purpose="summary")


class Chain:
    """`routes` says which rungs; `endpoints` are their providers; `attempts` asks one; `skips` passes some by."""

    def __init__(self, routes: Routes, endpoints: Mapping[str, Endpoint], attempts: Attempts, skips: Skips) -> None:
        self._routes = routes
        self._endpoints = endpoints
        self._attempts = attempts
        self._skips = skips

    @property
    def info(self) -> ModelInfo:
        rungs = self._routes.route(WHO_IS_ASKED_FIRST).rungs
        first = self._endpoints[rungs[0].provider].info
        writer = self._routes.route(WHO_WRITES_MEMORY).rungs[0]
        return replace(
            first,
            name=rungs[0].model or first.name,
            banner=first.banner if len(rungs) == 1 else None,
            writes_memory=self._endpoints[writer.provider].info.writes_memory,
            context_tokens=self._routes.context_tokens or first.context_tokens,
            modes=self._routes.modes,
        )

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Token | Finished, None]:
        turn = Turn(request, self._routes.route(request), self._skips)
        async with aclosing(turn.asks()) as asks:
            async for ask in asks:
                try:
                    async with aclosing(self._attempts.run(ask)) as events:
                        async for event in events:
                            yield event if isinstance(event, Token) else turn.finished(ask, event)
                    return
                except BudgetExceeded as error:
                    turn.over_budget(ask, error)
                except ModelError as error:
                    if error.details.get("partial"):
                        turn.cut_off()
                        raise
                    turn.failed(error)
        raise turn.polite_end()

    async def complete(self, request: ModelRequest) -> tuple[str, Finished]:
        turn = Turn(request, self._routes.route(request), self._skips)
        async with aclosing(turn.asks()) as asks:
            async for ask in asks:
                try:
                    text, finished = await collect(self._attempts.run(ask))
                    return text, turn.finished(ask, finished)
                except BudgetExceeded as error:
                    turn.over_budget(ask, error)
                except ModelError as error:
                    turn.failed(error)
        raise turn.polite_end()

    async def drain(self) -> None:
        """Waits until every attempt that ended is settled, or left to the ledger to settle later."""
        await self._attempts.drain()

    async def check(self) -> None:
        """Good while any model of the default chain would answer."""
        failures: list[ModelError] = []
        for provider in dict.fromkeys(rung.provider for rung in self._routes.route(WHO_IS_ASKED_FIRST).rungs):
            try:
                await self._endpoints[provider].check()
            except ModelError as error:
                failures.append(error)
            else:
                return
        raise failures[0]
