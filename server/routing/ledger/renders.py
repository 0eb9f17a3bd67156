"""Pictures in the ledger: holds by their job's id, which outlive the server that made them."""

from typing import cast

from server.render.previews.types import Person
from server.routing.ledger.ledger import Ledger
from server.routing.spending import Attempt, Status
from server.routing.types import Payer

__all__ = ["NOBODY", "RenderLedger"]

NOBODY = "(prerender)"
"""Who pays for pictures that are made ahead without anybody having ordered them. No person's id has brackets, so nobody
can be given, or use up, what is theirs."""
_MODEL, _PROVIDER, _PURPOSE = "picture", "comfyui", "picture"


class RenderLedger:
    """A `server.render.previews.purse.Ledger` over the ledger of all spending."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def put_aside(self, person: Person, name: str, amount: int) -> None:
        payer = Payer(person.tenant, person.user or NOBODY, person.tier)
        await self._ledger.reserve(payer, Attempt(name, 1, _MODEL, _PROVIDER, None, _PURPOSE), amount, name=name)

    async def end(self, name: str, cost: int, status: str) -> None:
        await self._ledger.end_named(name, cost, cast(Status, status))

    async def take_back(self, name: str) -> None:
        await self._ledger.void_named(name)

    async def names(self, older_ms: int, most: int, skip: int) -> list[str]:
        return await self._ledger.named(older_ms, most, skip)
