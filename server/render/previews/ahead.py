"""Pictures made ahead: a character with every item of the shop, an item on every character, a page at a time.

A plan is written down before its first picture is asked for, and after every page how far it is; so it goes on after
any restart. Asking twice for one picture is asking once. Never more than a few wait in line, behind all people.
"""

import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, Self

import structlog
from pydantic import TypeAdapter
from redis.asyncio import Redis

from server.catalog.catalog import Catalog
from server.catalog.items.model import Item
from server.catalog.looks.model import Look
from server.catalog.records import Viewer
from server.errors import BudgetExceeded, Conflict, InvalidRequest, NotFound, VestigeError
from server.loras.records import LoraVersion
from server.render.fleet.fleet import Fleet
from server.render.jobs.scripts import STORE, key
from server.render.previews.previews import Previews, wanted
from server.render.previews.shelf import Wanted
from server.render.previews.subject import Subject, check_wearable
from server.render.previews.types import Estimate, Person
from server.stores.errors import store_errors

__all__ = ["Ahead", "Plan"]

PAGE = 20
BACKLOG = 48
"""Pictures made ahead that wait at a time; the rest of a plan waits for these."""
LOCK_MS = 30_000
PLANS_KEPT = 100
"""That are over. One that is not is kept until it is: nobody would notice that its pictures are never made."""
_EVERYTHING = Viewer(None, admin=True)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be made ahead, and how far it is. `user`, `tier`: who ordered it and pays; None: nobody.

    `previews`: how many it comes to, None where nobody counted. `after`: where the next page begins. `asked`: pictures
    looked at so far.
    """

    id: str
    tenant: str
    user: str | None
    tier: str
    character: str | None
    item: str | None
    created: datetime
    previews: int | None
    asked: int = 0
    after: str | None = None
    state: Literal["running", "done", "stopped"] = "running"
    stopped: str | None = None

    @property
    def person(self) -> Person:
        return Person(self.tenant, self.user, self.tier, "", admin=True)

    def written(self) -> bytes:
        return _PLAN.dump_json(self)

    @classmethod
    def read(cls, raw: str | bytes) -> Self:
        return _PLAN.validate_json(raw)  # type: ignore[return-value]


_PLAN = TypeAdapter(Plan)


class Ahead:
    """Plans of all tenants. `most`: pictures of one plan. Every method may raise `StoreUnavailable`."""

    def __init__(
        self, previews: Previews, catalog: Catalog, fleet: Fleet, state: Redis, *, most: int, tier: str
    ) -> None:
        self._previews = previews
        self._catalog = catalog
        self._fleet = fleet
        self._state = state
        self._most = most
        self._tier = tier
        self._me = secrets.token_hex(6)

    async def estimate(self, person: Person, character: str | None, item: str | None) -> Estimate:
        """What `order` would come to.

        Raises:
            InvalidRequest: neither a character nor an item; NotFound, NotVisual: there is no such thing to render.
        """
        asked: dict[str, Wanted] = {}
        async for page, _ in self._pages(person, character, item, None):
            asked |= {subject.key: wanted(subject) for subject in page}
            if len(asked) >= self._most:
                break
        states = await self._previews.shelf.states(person.tenant, list(asked.values())[: self._most])
        renders = sum(one.state in ("none", "failed") for one in states)
        ready = sum(one.state == "ready" for one in states)
        return Estimate(len(states), ready, renders, await self._seconds(renders), renders * self._previews.purse.price)

    async def order(
        self, person: Person, character: str | None, item: str | None, *, previews: int | None = None
    ) -> Plan:
        """Begins to make the pictures. `previews`: how many the estimate found, None where nobody asked for one."""
        plan = Plan(
            id=f"plan-{secrets.token_hex(8)}",
            tenant=person.tenant,
            user=person.user,
            tier=person.tier,
            character=character,
            item=item,
            created=datetime.now(UTC),
            previews=previews,
        )
        with store_errors(STORE):
            async with self._state.pipeline(transaction=True) as pipe:
                pipe.hset(key("plans"), plan.id, plan.written())
                pipe.zadd(key("plans-order"), {plan.id: plan.created.timestamp()})
                pipe.sadd(key("plans-running"), plan.id)
                await pipe.execute()
        await self._forget_old()
        _log.info("prerender_ordered", plan=plan.id, previews=previews)
        return plan

    async def plans(self, tenant: str) -> list[Plan]:
        """The newest first."""
        with store_errors(STORE):
            ids = [str(id) for id in await self._state.zrevrange(key("plans-order"), 0, -1)]
            raws = await self._state.hmget(key("plans"), ids) if ids else []
        return [plan for raw in raws if raw and (plan := Plan.read(str(raw))).tenant == tenant]

    async def stop(self, tenant: str, id: str) -> Plan:
        """Asks for no more of a plan's pictures; what waits is rendered. Raises `NotFound`."""
        for plan in await self.plans(tenant):
            if plan.id == id:
                stopped = replace(plan, state="stopped", stopped="An admin stopped it.")
                return await self._write(stopped) if plan.state == "running" else plan
        raise NotFound("There is no such plan.", field="plan_id")

    async def step(self) -> None:
        """Asks for the next page of every plan, as long as few wait. One server at a time does."""
        with store_errors(STORE):
            if not await self._state.set(key("plans-lock"), self._me, nx=True, px=LOCK_MS):
                return
        try:
            with store_errors(STORE):
                running = sorted(str(id) for id in await self._state.smembers(key("plans-running")))
            for id in running:
                await self._page(id)
        finally:
            with store_errors(STORE):
                await self._state.delete(key("plans-lock"))

    async def look_changed(self, tenant: str, look: Look) -> None:
        """A character is rendered otherwise from now on."""
        await self._by_itself(tenant, look.character, None)

    async def lora_moved(self, tenant: str, version: LoraVersion) -> None:
        """Other weights are live: for every character that follows them."""
        async for look in self._looks(tenant):
            if look.lora_name == version.name and look.lora_version is None:
                await self._by_itself(tenant, look.character, None)

    async def item_changed(self, tenant: str, item: Item) -> None:
        """An item is new in the shop, or looks otherwise."""
        if item.public and item.visual and item.reference is not None:
            await self._by_itself(tenant, None, item.id)

    async def _by_itself(self, tenant: str, character: str | None, item: str | None) -> None:
        try:
            await self.order(Person(tenant, None, self._tier, "", admin=True), character, item)
        except VestigeError as error:
            _log.warning("prerender_not_ordered", reason=error.message, character=character, item=item)

    async def _page(self, id: str) -> None:
        with store_errors(STORE):
            raw = await self._state.hget(key("plans"), id)
            waiting = await self._state.zcard(key("line", "prerender"))
        if raw is None:
            with store_errors(STORE):
                await self._state.srem(key("plans-running"), id)
            return
        plan = Plan.read(str(raw))
        if waiting >= BACKLOG or plan.state != "running":
            return
        try:
            plan = await self._asked(plan)
        except (BudgetExceeded, NotFound, InvalidRequest) as error:  # no money, or what it was for is gone
            plan = replace(plan, state="stopped", stopped=error.message)
        with store_errors(STORE):
            stopped = not await self._state.sismember(key("plans-running"), id)
        if not stopped:  # by an admin, while the page was asked for
            await self._write(plan)

    async def _asked(self, plan: Plan) -> Plan:
        """The plan after its next page."""
        async for page, after in self._pages(plan.person, plan.character, plan.item, plan.after):
            room = self._most - plan.asked
            for subject in page[:room]:
                try:
                    await self._previews.ask_for(subject, plan.person, "prerender")
                except BudgetExceeded:
                    raise
                except VestigeError as error:
                    _log.warning("prerender_left_out", plan=plan.id, reason=error.message)
            asked = plan.asked + min(len(page), room)
            over = after is None or asked >= self._most
            return replace(plan, asked=asked, after=after, state="done" if over else "running")
        return replace(plan, state="done")

    async def _write(self, plan: Plan) -> Plan:
        with store_errors(STORE):
            async with self._state.pipeline(transaction=True) as pipe:
                pipe.hset(key("plans"), plan.id, plan.written())
                if plan.state != "running":
                    pipe.srem(key("plans-running"), plan.id)
                await pipe.execute()
        return plan

    async def _pages(
        self, person: Person, character: str | None, item: str | None, after: str | None
    ) -> AsyncIterator[tuple[list[Subject], str | None]]:
        """Pages of subjects, and where the next one begins: a row, a column, or one cell."""
        if character is not None and item is not None:
            pair = await self._previews.subjects.pair(person.tenant, character, item, _EVERYTHING)
            yield [await self._previews.subjects.subject(pair, person)], None
        elif character is not None:
            pair = await self._previews.subjects.pair(person.tenant, character, None, _EVERYTHING)
            while True:
                page = await self._catalog.items.list(person.tenant, Viewer(None), after=after, limit=PAGE)
                after = page.next
                yield await self._previews.row(person, pair, page.items), after
                if after is None:
                    return
        elif item is not None:
            worn = await self._catalog.items.get(person.tenant, item, _EVERYTHING)
            check_wearable(worn)
            while True:
                looks = await self._catalog.looks.all(person.tenant, after=after, limit=PAGE)
                after = looks[-1].character if len(looks) == PAGE else None
                yield await self._column(person, looks, worn.id), after
                if after is None:
                    return
        else:
            raise InvalidRequest("Name a character, an item, or both.", field="character_id")

    async def _column(self, person: Person, looks: Sequence[Look], item: str) -> list[Subject]:
        subjects: list[Subject] = []
        for look in looks:
            try:
                pair = await self._previews.subjects.pair(person.tenant, look.character, item, _EVERYTHING)
                if pair.character.shared:
                    subjects.append(await self._previews.subjects.subject(pair, person))
            except (NotFound, Conflict, InvalidRequest):
                continue  # a look without its character, or with a LoRA that is not there
        return subjects

    async def _looks(self, tenant: str) -> AsyncIterator[Look]:
        after: str | None = None
        while page := await self._catalog.looks.all(tenant, after=after, limit=PAGE):
            for look in page:
                yield look
            after = page[-1].character

    async def _seconds(self, renders: int) -> float | None:
        """How long so many take on the hosts there are, by the last renders' times."""
        with store_errors(STORE):
            measured: dict[Any, Any] = await self._state.hgetall(key("seconds"))
        if not measured:
            return None
        mean = sum(float(one) for one in measured.values()) / len(measured)
        hosts = sum(host.usable for host in await self._fleet.look())
        return renders * mean / max(1, hosts)

    async def _forget_old(self) -> None:
        with store_errors(STORE):
            many = int(await self._state.zcard(key("plans-order"))) - PLANS_KEPT
            if many <= 0:
                return
            oldest = [str(id) for id in await self._state.zrange(key("plans-order"), 0, min(many, PLANS_KEPT) - 1)]
            going = await self._state.smismember(key("plans-running"), oldest)
            old = [id for id, runs in zip(oldest, going, strict=True) if not runs]
            if old:
                async with self._state.pipeline(transaction=True) as pipe:
                    pipe.hdel(key("plans"), *old)
                    pipe.zrem(key("plans-order"), *old)
                    await pipe.execute()
