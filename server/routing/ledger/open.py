"""The ledger with everything it needs, opened and closed."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from server.routing.ledger.ceilings import Ceilings
from server.routing.ledger.generations import OpenRouterGenerations
from server.routing.ledger.ledger import Ledger
from server.routing.ledger.metrics import LedgerMetrics
from server.routing.ledger.upkeep import LEASE_SECONDS, Upkeep, running
from server.routing.ledger.usage import UsageReader
from server.routing.ledger.webhook import Webhook
from server.routing.open import endpoint_options, open_session
from server.routing.wire import Dialect
from server.settings import Settings

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Money:
    """The ledger and its reader."""

    ledger: Ledger
    usage: UsageReader


@asynccontextmanager
async def open_money(
    settings: Settings, state: Redis, registry: CollectorRegistry, *, lease: float = LEASE_SECONDS
) -> AsyncIterator[Money]:
    """Opens the ledger and does its housekeeping until left. `lease`: see `upkeep.LEASE_SECONDS`.

    Raises:
        StoreUnavailable: the store does not answer.
        SettingsError: the key of the model server cannot be one.
    """
    ceilings, metrics = Ceilings.of(settings), LedgerMetrics(registry)
    options = endpoint_options(settings)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_session(keep_alive=True))
        generations = None
        if options is not None and options.dialect is Dialect.OPENROUTER:
            generations = OpenRouterGenerations(session, options)
            if ceilings.total is None:
                _log.warning("no_daily_budget", advice="set daily_budget, so that a mistake cannot cost without end")
        ledger = Ledger(
            state, ceilings, metrics, asks=generations is not None, tells=settings.budget_webhook_url is not None
        )
        webhook = None
        if settings.budget_webhook_url and settings.budget_webhook_secret:
            secret = settings.budget_webhook_secret.get_secret_value()
            webhook = Webhook(session, ledger.scripts, metrics, url=settings.budget_webhook_url, secret=secret)
        await stack.enter_async_context(running(Upkeep(ledger, generations, lease=lease), webhook))
        yield Money(ledger, UsageReader(state, ceilings))
