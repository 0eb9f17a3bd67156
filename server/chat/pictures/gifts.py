"""A gift of one person to another, as something that happened in the conversation of the one who got it."""

import hashlib
from collections.abc import Callable
from datetime import datetime

import structlog
from redis.asyncio import Redis

from server.accounts.service import Accounts
from server.catalog.items.inventory import Inventory
from server.catalog.items.items import Items
from server.catalog.items.model import Grant
from server.catalog.records import Viewer
from server.catalog.store import CharacterStore
from server.chat.party import Party, Who
from server.chat.pictures.keys import Keys
from server.errors import InvalidCard, NotFound
from server.ids import Scope
from server.memory.service import Memory
from server.memory.views import Idempotency
from server.stores.errors import store_errors

__all__ = ["GiftNews"]

TOLD_SECONDS = 30 * 86_400
SOMEBODY = "Somebody"

_log = structlog.get_logger(__name__)


class GiftNews:
    """Tells the companion of a gift exactly once, however often the catalog tells of the grant.

    The one that is told is the person's active character. A person without one has the news waiting for the first
    character that they talk to; what waits names the item and nobody. Who is told is settled before it is done, so
    that a second try tells no other one.
    """

    def __init__(
        self,
        state: Redis,
        memory: Memory,
        accounts: Accounts,
        characters: CharacterStore,
        items: Items,
        inventory: Inventory,
        clock: Callable[[], datetime],
    ) -> None:
        self._state = state
        self._memory = memory
        self._accounts = accounts
        self._characters = characters
        self._items = items
        self._inventory = inventory
        self._clock = clock

    async def granted(self, grant: Grant) -> None:
        """An `OnGrant`: what the shop sells or hands out is no news, a person's gift is.

        Raises:
            StoreUnavailable: to be told again.
        """
        if grant.how != "gift":
            return
        keys = Keys.of(grant.tenant, grant.user)
        active = await self._accounts.get_active(grant.tenant, grant.user)
        if active is None:
            with store_errors("pictures"):
                if not await self._state.hexists(keys.told, grant.id):
                    await self._state.hset(keys.news, grant.id, grant.item)
            return
        party = await self._party(grant, await self._settled(grant, active))
        if party is not None:
            await self._tell(grant, party)

    async def catch_up(self, party: Party) -> None:
        """Tells what could not be told when it happened; called before a turn."""
        scope = party.scope
        with store_errors("pictures"):
            news = await self._state.hgetall(Keys.in_scope(scope).news)
        if not news:
            return
        owned = (await self._inventory.owned(scope.tenant, scope.user)).owned
        grants = {each.grant.id: each.grant for each in owned}
        for id in map(str, news):
            if id not in grants:  # it was taken back, or the item is gone
                await self._forget(scope.tenant, scope.user, id)
        waiting = [grant for id, grant in grants.items() if id in news]
        for grant in sorted(waiting, key=lambda one: one.at):
            if await self._settled(grant, scope.character) == scope.character:
                await self._tell(grant, party)

    async def erase(self, tenant: str, user: str) -> None:
        keys = Keys.of(tenant, user)
        with store_errors("pictures"):
            await self._state.delete(keys.news, keys.told)

    async def _settled(self, grant: Grant, character: str) -> str:
        """The character that is told: `character`, unless another one was settled on before."""
        told = Keys.of(grant.tenant, grant.user).told
        async with self._state.pipeline(transaction=True) as pipe:
            pipe.hsetnx(told, grant.id, character)
            pipe.hget(told, grant.id)
            pipe.expire(told, TOLD_SECONDS)
            with store_errors("pictures"):
                _, settled, _ = await pipe.execute()
        return str(settled)

    async def _party(self, grant: Grant, character: str) -> Party | None:
        scope = Scope(grant.tenant, grant.user, character)
        try:
            user = await self._accounts.user(grant.tenant, grant.user)
            record = await self._characters.get(grant.tenant, character, Viewer(grant.user))
        except (NotFound, InvalidCard):
            _log.info("gift_untold", reason="the person or their character is not here")
            return None
        return Party.of(Who(scope, user.tier, user.name), record.card)

    async def _tell(self, grant: Grant, party: Party) -> None:
        titles = await self._items.titles(grant.tenant, [grant.item])
        if grant.item in titles:  # else it was deleted meanwhile
            await self._memory.note(
                party.scope,
                f"*{await self._giver(grant)} has sent a gift: “{titles[grant.item]}”*",
                at=self._clock(),
                idempotency=Idempotency(hashlib.sha256(f"gift {grant.id}".encode()).hexdigest(), "gift"),
                extra={"event": "gift", "item": grant.item},
                greeting=party.greeting(),
                speakers=party.speakers,
            )
        await self._forget(grant.tenant, grant.user, grant.id)

    async def _forget(self, tenant: str, user: str, grant_id: str) -> None:
        with store_errors("pictures"):
            await self._state.hdel(Keys.of(tenant, user).news, grant_id)

    async def _giver(self, grant: Grant) -> str:
        if grant.giver is None:
            return SOMEBODY
        try:
            return (await self._accounts.user(grant.tenant, grant.giver)).name
        except NotFound:
            return SOMEBODY
