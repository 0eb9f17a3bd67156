"""The ledger's door: money is put aside before a model is called, and what the call cost is taken after it.

Every step is one Lua script, so concurrent turns, on any number of servers, cannot pass a ceiling together. Where Redis
does not answer nothing is spent. What was reserved stays charged until the cost is known, so the ledger is never below
the provider's bill: not when a stream breaks off, not when this process is killed.
"""

import asyncio
import json
import secrets
from collections.abc import Collection, Coroutine, Sequence
from dataclasses import replace
from typing import Any

import structlog
from redis.asyncio import Redis

from server.ending import end
from server.errors import BudgetExceeded, GenerationDisabled, StoreUnavailable
from server.routing.ledger.ceilings import Ceilings
from server.routing.ledger.metrics import LedgerMetrics
from server.routing.ledger.scripts import Scripts
from server.routing.spending import Attempt, Outcome, Status
from server.routing.types import Payer

MAX_AMOUNT = 10**12
"""One million dollars, in micro-dollars: no attempt costs that, and sums of it stay exact in Lua's numbers."""
SURPRISE, SMALL = 10, 10_000_000
"""A cost beyond ten times the reserve and ten dollars is not believed on one word."""
MAX_ID = 200
NAMED = "named"
"""Stands for the server of holds that belong to none: a server's own id is a hexadecimal number."""
ASK_AFTER_MS = 1_000
"""The provider writes down what a generation cost some moments after its end."""
PATIENCE_SECONDS = 1.0
"""How long a turn waits for its settlement; after that it goes on alone."""
RETRY_SECONDS = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Between two tries of a step that the store did not take; the last one from then on."""

_log = structlog.get_logger(__name__)

_SENTENCES = {
    "user": "Your spending limit for today is reached. It starts anew in {wait} (00:00 UTC).",
    "tenant": "This account's spending limit for today is reached. It starts anew in {wait} (00:00 UTC).",
    "global": "This server's spending limit for today is reached. It starts anew in {wait} (00:00 UTC).",
}
_DISABLED = "Replies are switched off because spending cannot be recorded now. Your message is kept: try again later."


class Ledger:
    """A `Spending` over the state Redis. `server` names this process among those that share it.

    `asks`: the providers that are asked about generations whose cost is not known; at others the reserve is taken.
    `tells`: whether somebody tells a webhook of shares reached.
    """

    def __init__(
        self,
        state: Redis,
        ceilings: Ceilings,
        metrics: LedgerMetrics,
        *,
        server: str | None = None,
        asks: Collection[str] = (),
        tells: bool = False,
    ) -> None:
        self.scripts = Scripts(state)
        self.server = server or secrets.token_hex(6)
        self.tells = "1" if tells else ""
        self._ceilings = ceilings
        self._metrics = metrics
        self._asks = frozenset(asks)
        self._late: set[asyncio.Task[None]] = set()

    async def reserve(self, payer: Payer, attempt: Attempt, amount: int, *, name: str | None = None) -> "LedgerHold":
        """Puts `amount` aside.

        Args:
            name: of work that outlives this server. The same name twice is once, nobody takes it for an orphan, and
                whoever gave it sees to its end with `end_named` or `void_named`.

        Raises:
            ValueError: `amount` is negative or absurd.
            BudgetExceeded, GenerationDisabled: see `Spending`.
        """
        if not 0 <= amount <= MAX_AMOUNT:
            raise ValueError(f"an attempt cannot reserve {amount} micro-dollars")
        hold = name or secrets.token_hex(10)
        try:
            answer = await self.scripts.run(
                "reserve",
                hold,
                payer.tenant,
                payer.user,
                _cell(payer.tier),
                _cell(attempt.model),
                _facts(attempt),
                amount,
                self._ceilings.written(payer),
                NAMED if name else self.server,
                secrets.token_hex(8),
                secrets.token_hex(8),
                self.tells,
            )
        except StoreUnavailable as error:
            self._metrics.blocked.labels("ledger").inc()
            self.start(self._void(hold))  # it may have been done, and only the answer is lost
            raise GenerationDisabled(_DISABLED, store="ledger") from error
        except asyncio.CancelledError:
            self.start(self._void(hold))
            raise
        if answer[0] == 1:
            return LedgerHold(self, hold, amount, asks=attempt.provider in self._asks)
        _, scope, _, _, seconds, *events = answer
        self.note(events)
        self._metrics.blocked.labels(scope).inc()
        raise BudgetExceeded(
            _SENTENCES[scope].format(wait=_span(seconds)), scope=scope, retry_after=max(1, int(seconds))
        )

    async def forget(self, tenant: str, user: str) -> None:
        """Leaves of a person only a pseudonym that leads to nobody.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        await self.scripts.run("forget", f"{tenant}/{user}")

    async def drain(self, seconds: float) -> None:
        """Waits for settlements that the store did not take yet; what is left is found by another server."""
        if self._late:
            await asyncio.wait(self._late, timeout=seconds)
        await end(self._late)

    async def settle(self, hold: str, outcome: Outcome, generation: str) -> None:
        """Settles an attempt of this server, until the store has taken it."""
        usage = outcome.usage
        tokens = ("", "", "", "")
        if usage is not None:
            tokens = (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, usage.reasoning_tokens)
        cost = "" if outcome.cost is None else outcome.cost
        answer = await self._insist(
            "settle", hold, cost, "told", outcome.status, generation, *tokens, self.tells, ASK_AFTER_MS
        )
        self._settled("told", answer)

    async def close(self, hold: str, cost: int | None) -> None:
        """Ends a hold by what the provider's record says; None: by the reserve, since there is no record.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        known = "" if cost is None else cost
        answer = await self.scripts.run("settle", hold, known, "asked", *[""] * 6, self.tells, "")
        self._settled("asked", answer)

    async def end_named(self, name: str, cost: int, status: Status) -> None:
        """Ends what was put aside under a name by what it cost; a second time changes nothing.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        answer = await self.scripts.run("settle", name, cost, "told", status, *[""] * 5, self.tells, "")
        self._settled("told", answer)

    async def void_named(self, name: str) -> None:
        """Takes back what was put aside under a name, as if it had never been. Raises `StoreUnavailable`."""
        await self.scripts.run("void", name)

    async def named(self, older_ms: int, most: int, skip: int) -> list[str]:
        """Names that something has been put aside under for so long, without the `skip` oldest. Raises
        `StoreUnavailable`."""
        return await self.scripts.run("named", NAMED, older_ms, most, skip)

    async def identify(self, hold: str, generation: str) -> None:
        """Notes a generation's id; where the store does not answer, settling will bring it along."""
        try:
            await self.scripts.run("identify", hold, generation)
        except StoreUnavailable as error:
            _log.warning("ledger_waits", step="identify", reason=error.message)

    def start(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Runs a step that must not end with the turn it belongs to."""
        task = asyncio.create_task(work, name="ledger")
        self._late.add(task)
        task.add_done_callback(self._ended)
        return task

    def note(self, events: Sequence[str]) -> None:
        """Logs shares of ceilings that were reached: the scope, no one's name."""
        for event in events:
            _, scope, _, percent, spent, ceiling, _ = event.split("|")
            log = _log.info if scope == "user" else _log.warning  # users reach theirs every day
            log("budget_share_reached", scope=scope, percent=int(percent), spent=int(spent), ceiling=int(ceiling))

    def _settled(self, basis: str, answer: Sequence[str]) -> None:
        what, *events = answer
        if what in ("settled", "corrected", "reserve"):
            self._metrics.settled.labels("reserve" if what == "reserve" else basis).inc()
        self.note(events)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._late.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("ledger_step_failed", error=type(error).__qualname__, reason=str(error)[:200])

    async def _void(self, hold: str) -> None:
        await self._insist("void", hold)

    async def _insist(self, name: str, *args: str | int) -> Any:
        tries = 0
        while True:
            try:
                return await self.scripts.run(name, *args)
            except StoreUnavailable as error:
                if tries == 0:  # said once: there may be hundreds of these
                    _log.warning("ledger_waits", step=name, reason=error.message)
            await asyncio.sleep(RETRY_SECONDS[min(tries, len(RETRY_SECONDS) - 1)])
            tries += 1


class LedgerHold:
    """Money put aside for one attempt; a `Hold`."""

    def __init__(self, ledger: Ledger, id: str, amount: int, *, asks: bool) -> None:
        self.id = id
        self._ledger = ledger
        self._amount = amount
        self._asks = asks
        self._generation = ""
        self._settled = False

    async def identified(self, generation_id: str) -> None:
        if self._settled or self._generation or not self._asks:
            return
        if not generation_id.isprintable() or len(generation_id) > MAX_ID:
            return
        self._generation = generation_id
        await self._ledger.identify(self.id, generation_id)

    async def settle(self, outcome: Outcome) -> None:
        if self._settled:
            return
        self._settled = True
        if outcome.cost is not None and not self._believable(outcome.cost):
            _log.error("cost_not_believed", cost=outcome.cost, reserved=self._amount, asked=bool(self._generation))
            outcome = replace(outcome, cost=None)
        task = self._ledger.start(self._ledger.settle(self.id, outcome, self._generation))
        await asyncio.wait({task}, timeout=PATIENCE_SECONDS)

    def _believable(self, cost: int) -> bool:
        return 0 <= cost <= max(SURPRISE * self._amount, SMALL)


def _facts(attempt: Attempt) -> str:
    """What a row says of an attempt beside the columns that are counted by."""
    facts = {
        "turn": attempt.turn,
        "rung": attempt.rung,
        "provider": attempt.provider,
        "mode": attempt.mode,
        "purpose": attempt.purpose,
    }
    return json.dumps(facts, separators=(",", ":"))


def _cell(text: str) -> str:
    """A name as part of the name of a sum, which `|` divides."""
    return text.replace("|", "/")[:MAX_ID]


def _span(seconds: int) -> str:
    minutes = max(1, -(-int(seconds) // 60))
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
