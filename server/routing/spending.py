"""The one narrow door between a model call and the money it costs: reserve before, settle after, never below the bill.

    hold = await spending.reserve(payer, attempt, amount)     # before anything is sent
    await hold.identified(generation_id)                      # as soon as the provider names what it generates
    await hold.settle(Outcome("done", cost=1_420, usage=usage))

Amounts are integer micro-dollars, 1 dollar = 1,000,000.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from server.routing.types import Payer, Usage

Status = Literal["done", "refused", "failed", "cut", "cancelled"]
"""How an attempt ended. `done`: with a usable reply. `refused`: it answered, with nothing usable in it (content filter,
refusal, blank, all of it reasoning). `failed`: an error before any visible token. `cut`: an error after one.
`cancelled`: nobody wanted it any more."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call to one model. `turn` is shared by all attempts of one request; `rung` counts from 1."""

    turn: str
    rung: int
    model: str
    provider: str
    mode: str | None
    purpose: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended and what it cost, in micro-dollars.

    `cost` None: not known. It is then asked of the provider where the attempt was identified, else all that was
    reserved is taken for spent. An attempt that surely cost nothing (no connection, a 4xx) says 0.
    """

    status: Status
    cost: int | None
    usage: Usage | None = None


class Hold(Protocol):
    """Money put aside for one attempt. If nobody settles it, because the server died, another server will."""

    async def identified(self, generation_id: str) -> None:
        """Notes durably what the provider calls this generation, so that its cost can be asked for. Never raises."""
        ...

    async def settle(self, outcome: Outcome) -> None:
        """Replaces what was put aside with what it cost. Call it on every way out, shielded from cancellation.

        Never raises: where the store does not answer, it is done later. A second call is ignored.
        """
        ...


class Spending(Protocol):
    """Says whether an attempt may be paid for."""

    async def reserve(self, payer: Payer, attempt: Attempt, amount: int) -> Hold:
        """Puts `amount` aside, the most that the attempt can cost; 0 for a model that costs nothing.

        Raises:
            BudgetExceeded: a ceiling leaves no room for `amount`; a cheaper attempt may still fit, and one for 0 does.
            GenerationDisabled: the ledger does not answer, so nothing may be spent.
        """
        ...
