"""Reads the ledger: what was spent, by day, tier, model and user, where the ceilings stand, and the rows themselves."""

import hashlib
import heapq
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, Self, cast

from redis.asyncio import Redis

from server.routing.ledger.ceilings import Ceilings
from server.routing.ledger.scripts import STORE, key
from server.routing.types import Payer
from server.stores.errors import store_errors

KEPT_DAYS = 35
TOP = 100
_CANDIDATES = 500
_PAGE = 500
Scope = Literal["user", "tenant", "global"]
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Sum:
    """What attempts came to; `cost` in micro-dollars."""

    attempts: int = 0
    cost: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: Self) -> "Sum":
        return Sum(
            self.attempts + other.attempts,
            self.cost + other.cost,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
        )


@dataclass(slots=True)
class Usage:
    """Settled attempts of a period, both days included. Those still under way are not in it."""

    first: date
    last: date
    days: dict[date, Sum] = field(default_factory=lambda: defaultdict(Sum))
    tiers: dict[str, Sum] = field(default_factory=lambda: defaultdict(Sum))
    models: dict[str, Sum] = field(default_factory=lambda: defaultdict(Sum))

    @property
    def total(self) -> Sum:
        return sum(self.days.values(), Sum())

    def take(self, day: date, cells: Mapping[str, str]) -> None:
        """Adds a day's sums as Redis has them: `tier|model|what` → number."""
        groups: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
        for name, number in cells.items():
            tier, model, what = name.split("|")
            groups[tier, model][what] = int(number)
        for (tier, model), found in groups.items():
            one = Sum(
                found.get("attempts", 0), found.get("cost", 0), found.get("prompt", 0), found.get("completion", 0)
            )
            self.days[day] += one
            self.tiers[tier] += one
            self.models[model] += one


@dataclass(frozen=True, slots=True)
class Gauge:
    """Where a ceiling stands today, in micro-dollars. `held`: put aside for attempts under way or not yet settled.

    `ceiling` None: there is none. `name`: the tenant or user, None for everyone.
    """

    scope: Scope
    name: str | None
    spent: int
    held: int
    ceiling: int | None


@dataclass(frozen=True, slots=True)
class Spender:
    """A person's cost in micro-dollars. `user` None: deleted, only the pseudonym is left."""

    tenant: str
    user: str | None
    pseudonym: str
    cost: int


@dataclass(frozen=True, slots=True)
class Row:
    """One attempt, or the correction of one (`count` 0). `user` None: deleted since."""

    tenant: str
    user: str | None
    fields: Mapping[str, str]

    @property
    def facts(self) -> Mapping[str, Any]:
        """`turn`, `rung`, `provider`, `mode`, `purpose`."""
        return cast(Mapping[str, Any], json.loads(self.fields["facts"]))

    @property
    def started(self) -> datetime:
        return datetime.fromtimestamp(int(self.fields["started"]) / 1000, UTC)

    @property
    def ended(self) -> datetime:
        return datetime.fromtimestamp(int(self.fields["ended"]) / 1000, UTC)


class UsageReader:
    """Every method raises StoreUnavailable where the ledger does not answer."""

    def __init__(self, state: Redis, ceilings: Ceilings) -> None:
        self._state = state
        self._ceilings = ceilings

    async def today(self) -> date:
        """The day that is being charged, by Redis' clock."""
        with store_errors(STORE):
            seconds, _ = await self._state.time()
        return _EPOCH + timedelta(days=int(seconds) // 86_400)

    async def period(self, since: date | None, until: date | None, *, days: int) -> tuple[date, date]:
        """A period within what is kept: as asked, else the last `days` up to today."""
        today = await self.today()
        last = min(until or today, today)
        first = since or last - timedelta(days=days - 1)
        return max(first, today - timedelta(days=KEPT_DAYS)), last

    async def of_user(self, tenant: str, user: str, first: date, last: date) -> Usage:
        """One person's."""
        with store_errors(STORE):
            person = await self._state.hget(key("people"), f"{tenant}/{user}")
        if person is None:
            return Usage(first, last)
        return await self._usage(first, last, lambda day: [key("person", day, str(person))])

    async def of_tenants(self, tenants: Sequence[str], first: date, last: date) -> Usage:
        return await self._usage(first, last, lambda day: [key("sums", day, tenant) for tenant in tenants])

    async def tenants(self, first: date, last: date) -> list[str]:
        """Those that spent or tried to."""
        with store_errors(STORE):
            names = await self._state.sunion([key("tenants", day) for day in _numbers(first, last)] or [key("none")])
        return sorted(str(name) for name in names)

    async def spenders(self, tenants: Sequence[str], first: date, last: date) -> list[Spender]:
        """The people who cost most; over several days, of those who did on one of them."""
        costs: dict[tuple[str, str], int] = defaultdict(int)
        places = [(tenant, day) for tenant in tenants for day in _numbers(first, last)]
        with store_errors(STORE):
            async with self._state.pipeline(transaction=False) as pipe:
                for tenant, day in places:
                    pipe.zrevrange(key("spenders", day, tenant), 0, _CANDIDATES - 1, withscores=True)
                answers = await pipe.execute()
        for (tenant, _), answer in zip(places, answers, strict=True):
            for person, cost in answer:
                costs[tenant, str(person)] += int(cost)
        top = heapq.nlargest(TOP, costs.items(), key=lambda item: item[1])
        users = await self._users(person for (_, person), _ in top)
        return [Spender(tenant, users.get(person), person, cost) for (tenant, person), cost in top]

    async def gauges(self, tenants: Sequence[str], *, everyone: bool) -> list[Gauge]:
        """Today's ceilings: of everyone where asked for, and of each tenant."""
        counters = key("day", _number(await self.today()))
        scopes: list[tuple[Scope, str | None, str, int | None]] = []
        if everyone:
            scopes.append(("global", None, "all", self._ceilings.total))
        scopes.extend(("tenant", name, f"t/{name}", self._ceilings.of_tenant(name)) for name in tenants)
        with store_errors(STORE):
            numbers = await self._state.hmget(
                counters, [field for _, _, at, _ in scopes for field in (at, f"{at}:held")] or ["all"]
            )
        return [
            _gauge(scope, name, numbers[2 * i], numbers[2 * i + 1], ceiling)
            for i, (scope, name, _, ceiling) in enumerate(scopes)
        ]

    async def gauge(self, payer: Payer) -> Gauge:
        """Where one person's ceiling stands today."""
        counters = key("day", _number(await self.today()))
        ceiling = self._ceilings.of_user(payer.tier)
        with store_errors(STORE):
            salt = await self._state.hget(counters, "salt")
            digest = hashlib.sha1(f"{salt}{payer.tenant}/{payer.user}".encode(), usedforsecurity=False).hexdigest()
            charged, held = await self._state.hmget(counters, [f"u/{digest}", f"u/{digest}:held"])
        return _gauge("user", payer.user, charged, held, ceiling)

    async def rows(self, tenants: Sequence[str], first: date, last: date) -> AsyncIterator[list[Row]]:
        """All rows, in pages: day by day, tenant by tenant, in the order in which they were settled."""
        for day in _numbers(first, last):
            for tenant in tenants:
                at = "-"
                while page := await self._page(key("rows", day, tenant), at):
                    users = await self._users(fields["person"] for _, fields in page)
                    yield [Row(tenant, users.get(fields["person"]), fields) for _, fields in page]
                    at = f"({page[-1][0]}"

    async def _page(self, stream: str, at: str) -> list[tuple[str, dict[str, str]]]:
        with store_errors(STORE):
            return cast(list[tuple[str, dict[str, str]]], await self._state.xrange(stream, min=at, count=_PAGE))

    async def _usage(self, first: date, last: date, keys: Any) -> Usage:
        usage = Usage(first, last)
        places = [(day, name) for day in _numbers(first, last) for name in keys(day)]
        with store_errors(STORE):
            async with self._state.pipeline(transaction=False) as pipe:
                for _, name in places:
                    pipe.hgetall(name)
                answers = await pipe.execute()
        for (day, _), cells in zip(places, answers, strict=True):
            usage.take(_EPOCH + timedelta(days=day), cells)
        return usage

    async def _users(self, people: Iterable[str]) -> dict[str, str | None]:
        """The user ids behind pseudonyms."""
        listed = list(dict.fromkeys(people))
        if not listed:
            return {}
        with store_errors(STORE):
            names = await self._state.hmget(key("names"), listed)
        return {
            person: None if name is None else str(name).partition("/")[2]
            for person, name in zip(listed, names, strict=True)
        }


def _gauge(scope: Scope, name: str | None, charged: object, held: object, ceiling: int | None) -> Gauge:
    total, aside = int(str(charged or 0)), int(str(held or 0))
    return Gauge(scope, name, total - aside, aside, ceiling)


def _number(day: date) -> int:
    return (day - _EPOCH).days


def _numbers(first: date, last: date) -> range:
    return range(_number(first), _number(last) + 1)
