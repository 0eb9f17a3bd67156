"""The ledger with everything it needs, opened and closed."""

from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp
import structlog
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from redis.asyncio import Redis

from server.routing.ledger.ceilings import Ceilings
from server.routing.ledger.ledger import Ledger
from server.routing.ledger.metrics import LedgerMetrics
from server.routing.ledger.upkeep import Generations, Upkeep, running
from server.routing.ledger.usage import UsageReader
from server.routing.ledger.webhook import Webhook
from server.settings import Settings

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Money:
    """The ledger and its reader."""

    ledger: Ledger
    usage: UsageReader


@asynccontextmanager
async def open_money(
    settings: Settings,
    state: Redis,
    registry: CollectorRegistry,
    *,
    metered: Collection[str] = (),
    generations: Generations | None = None,
) -> AsyncIterator[Money]:
    """Opens the ledger and does its housekeeping until left.

    `metered` are the providers that bill each call, and `generations` asks them; at others an attempt whose cost is
    not told costs what was reserved for it.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    ceilings, metrics = Ceilings.of(settings), LedgerMetrics(registry)
    url, secret = _plain(settings.budget_webhook_url), _plain(settings.budget_webhook_secret)
    ledger = Ledger(state, ceilings, metrics, asks=metered, tells=url is not None)
    if metered and ceilings.total is None:
        _log.warning("no_daily_budget", advice="set daily_budget, so that a mistake cannot cost without end")
    upkeep = Upkeep(ledger, generations, alone=settings.redis_url is None)
    async with AsyncExitStack() as stack:
        webhook = None
        if url is not None and secret is not None:
            session = await stack.enter_async_context(
                aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
            )
            webhook = Webhook(session, ledger.scripts, metrics, url=url, secret=secret)
        await stack.enter_async_context(running(upkeep, webhook))
        yield Money(ledger, UsageReader(state, ceilings))


def _plain(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
