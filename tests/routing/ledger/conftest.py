"""A ledger over a real Valkey, and a provider that keeps a record of what it billed."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from server.errors import ModelError
from server.routing.ledger.ceilings import Ceilings
from server.routing.ledger.ledger import Ledger
from server.routing.ledger.metrics import LedgerMetrics
from server.routing.ledger.usage import Gauge, UsageReader
from server.routing.spending import Attempt
from server.routing.types import Payer
from server.settings import Plan, Settings
from server.stores.redis import RedisPair

ANNA, BEN = Payer("home", "anna", "free"), Payer("home", "ben", "free")
ATTEMPT = Attempt("turn-1", 1, "vendor/model", "openrouter.ai", "romance", "chat")


@dataclass
class Records:
    """The provider's record: what it says of a generation, asked once or oftener; `asked` notes the questions."""

    costs: dict[str, list[int | ModelError | None]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def __call__(self, provider: str, generation: str) -> int | None:
        assert provider == ATTEMPT.provider
        self.asked.append(generation)
        answers = self.costs.get(generation, [None])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, ModelError):
            raise answer
        return answer


@dataclass
class Books:
    """The ledger under test and what it says. Amounts in micro-dollars."""

    pair: RedisPair
    settings: Settings

    def ledger(
        self, server: str = "one", *, asks: Collection[str] = (ATTEMPT.provider,), tells: bool = False
    ) -> Ledger:
        metrics = LedgerMetrics(CollectorRegistry())
        return Ledger(self.pair.busy, Ceilings.of(self.settings), metrics, server=server, asks=asks, tells=tells)

    @property
    def reader(self) -> UsageReader:
        return UsageReader(self.pair.busy, Ceilings.of(self.settings))

    async def gauge(self, tenant: str | None = None) -> Gauge:
        """Where the server's ceiling stands, or a tenant's."""
        return (await self.reader.gauges([tenant] if tenant else [], everyone=tenant is None))[0]

    async def spent(self) -> int:
        """By the rows, which the counters and all sums must agree with."""
        reader = self.reader
        today = await reader.today()
        tenants = await reader.tenants(today, today)
        rows = [row async for page in reader.rows(tenants, today, today) for row in page]
        total = sum(int(row.fields["cost"]) for row in rows)
        assert (await self.gauge()).spent == total
        assert (await reader.of_tenants(tenants, today, today)).total.cost == total
        assert sum(each.cost for each in await reader.spenders(tenants, today, today)) == total
        return total

    async def rows(self) -> list[dict[str, Any]]:
        reader = self.reader
        today = await reader.today()
        tenants = await reader.tenants(today, today)
        pages = [page async for page in reader.rows(tenants, today, today)]
        return [{**row.fields, **row.facts, "user": row.user} for page in pages for row in page]


@pytest.fixture
def books(redis_pair: RedisPair, make_settings: Callable[..., Settings]) -> Callable[..., Books]:
    """`books(daily_budget=1.5, user=0.25, …)`: ceilings in dollars."""

    def make(*, user: float | None = None, **fields: Any) -> Books:
        plans = {"free": Plan(daily_budget=user), "plus": Plan()}  # type: ignore[arg-type]
        return Books(redis_pair, make_settings(plans=plans, **fields))

    return make
