"""Which language models the settings ask for, opened and closed: one, or those of a routing policy."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

import aiohttp
import structlog
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from redis.asyncio import Redis
from yarl import URL

from server.errors import ModelError, SettingsError
from server.routing.attempts import Attempts, Endpoint, Tariff
from server.routing.breaker import Breaker, NoBreaker
from server.routing.breaker.shared import RedisBreaker
from server.routing.bundled import BundledModel, find_model_file, open_bundled
from server.routing.catalogue import Catalogue
from server.routing.chain import Chain
from server.routing.endpoint import ChatEndpoint
from server.routing.exchange import KeepingConnector
from server.routing.journal import Journal
from server.routing.meters import AttemptMeters
from server.routing.options import Options, parse_base_url
from server.routing.policy.model import BUNDLED, OPENROUTER, OPENROUTER_URL, PolicyFile
from server.routing.policy.reading import load_policy
from server.routing.policy.routes import FilePolicy, OneModel, Routes, Rung
from server.routing.prices import FREE, UNKNOWN
from server.routing.report import Reporter
from server.routing.spending import Spending
from server.routing.tally import Tally
from server.routing.turn import Skips
from server.routing.types import LanguageModel
from server.routing.wire import Dialect
from server.settings import Settings

OPENROUTER_MODEL = "openrouter/auto"
LIST_SECONDS = 2.0  # the start waits no longer for a server to name its model
MAX_CONNECTIONS = 512
SHOWN_FROM = 12  # characters of a key whose last four may be shown

_log = structlog.get_logger("vestige.model")


@dataclass(frozen=True)
class Providers:
    """Every provider that the policy uses, open. `metered` bill each call and say what it cost."""

    routes: Routes
    endpoints: Mapping[str, Endpoint]
    catalogue: Catalogue
    metered: frozenset[str]

    def tariff(self, rung: Rung) -> Tariff:
        """What a rung costs: by its provider's list, or at most its cap; nothing at a server that names no prices."""
        price = self.catalogue.price(rung.provider, rung.model or "")
        if price is not None:
            return Tariff(price, sure=True)
        if rung.cap is not None:
            return Tariff(rung.cap, sure=True)
        return Tariff(UNKNOWN, sure=False) if rung.provider in self.metered else Tariff(FREE, sure=True)

    async def generation_cost(self, provider: str, generation: str) -> int | None:
        """What a generation cost in micro-dollars; None where its provider does not know, or not yet.

        Raises:
            ModelError: the provider does not answer.
        """
        endpoint = self.endpoints.get(provider)
        return await endpoint.generation_cost(generation) if isinstance(endpoint, ChatEndpoint) else None

    def breaker(self, redis: Redis) -> Breaker:
        """What rests failing models; `redis` is where servers share what they know of them."""
        return RedisBreaker(redis, self.routes.file.breaker) if isinstance(self.routes, FilePolicy) else NoBreaker()

    def chain(self, breaker: Breaker, journal: Journal, spending: Spending | None = None) -> Chain:
        """The model that chat and memory talk to."""
        attempts = Attempts(self.endpoints, tariff=self.tariff, breaker=breaker, journal=journal, spending=spending)
        return Chain(self.routes, self.endpoints, attempts, Skips(breaker, self.tariff, journal))


@dataclass(frozen=True)
class Routed:
    """The model that chat and memory talk to, and how it is doing."""

    model: LanguageModel
    reporter: Reporter


@asynccontextmanager
async def open_chain(
    opened: Providers | LanguageModel,
    redis: Redis,
    registry: CollectorRegistry,
    spending: Spending,
    clock: Callable[[], datetime],
) -> AsyncIterator[Routed]:
    """The chain over open providers, counted until left; or a model that was given, as it is."""
    tally = Tally(redis, clock)
    if not isinstance(opened, Providers):
        yield Routed(opened, Reporter(tally, NoBreaker(), None, clock))
        return
    breaker = opened.breaker(redis)
    async with tally.kept():
        chain = opened.chain(breaker, Journal(AttemptMeters(registry), tally), spending)
        try:
            yield Routed(chain, Reporter(tally, breaker, opened.routes, clock))
        finally:
            await chain.drain()


@asynccontextmanager
async def open_providers(settings: Settings) -> AsyncIterator[Providers]:
    """OpenRouter, any OpenAI-compatible servers and the bundled model, as the settings or the routing file name them.

    Raises:
        SettingsError: the routing file, an address or a key cannot be used.
        StartupError: the bundled model is meant and not installed.
    """
    async with AsyncExitStack() as stack:
        if settings.routing is None:
            endpoint = await stack.enter_async_context(open_model(settings))
            name, options = _name(settings), endpoint_options(settings)
            routes: Routes = OneModel(name, settings.first_token_seconds, settings.total_seconds)
            servers = {name: endpoint} if isinstance(endpoint, ChatEndpoint) else {}
            endpoints: dict[str, Endpoint] = {name: endpoint}
            used = {name: options} if options else {}
        else:
            file = load_policy(settings.routing, settings.plans)
            routes = FilePolicy(file, default_tier=settings.default_tier)
            used = policy_options(file, settings)
            servers = {
                name: ChatEndpoint(await stack.enter_async_context(open_session(keep_alive=True)), options)
                for name, options in used.items()
            }
            endpoints = dict(servers)
            if any(model.provider == BUNDLED for model in file.models.values()):
                endpoints[BUNDLED] = await stack.enter_async_context(_open_bundled(settings))
        for name, options in used.items():
            _announce(settings, name, options)
        metered = frozenset(name for name, options in used.items() if options.dialect is Dialect.OPENROUTER)
        catalogue = Catalogue({name: servers[name].models for name in metered})
        if metered:
            await stack.enter_async_context(_kept_fresh(catalogue))
        yield Providers(routes, endpoints, catalogue, metered)


def endpoint_options(settings: Settings) -> Options | None:
    """The model server that is set; None where the bundled model is meant.

    Raises:
        SettingsError: the address or the key cannot be one.
    """
    if settings.openrouter_api_key:
        return Options(
            base_url=URL(OPENROUTER_URL),
            api_key=settings.openrouter_api_key,
            model=settings.llm_model or OPENROUTER_MODEL,
            summary_model=settings.summary_model,
            key_name="OPENROUTER_API_KEY",
            silence_seconds=settings.first_token_seconds,
            total_seconds=settings.total_seconds,
        )
    if settings.llm_base_url:
        return Options(
            base_url=parse_base_url(settings.llm_base_url),
            api_key=settings.llm_api_key,
            model=settings.llm_model or None,
            summary_model=settings.summary_model,
            silence_seconds=settings.first_token_seconds,
            total_seconds=settings.total_seconds,
        )
    return None


def policy_options(file: PolicyFile, settings: Settings, *, keys_needed: bool = True) -> dict[str, Options]:
    """The servers that a policy's models are at, by provider.

    Raises:
        SettingsError: an address or a key cannot be used, or a key is not set.
    """
    found: dict[str, Options] = {}
    for name in sorted({model.provider for model in file.models.values()} - {BUNDLED}):
        provider = file.provider(name)
        key = _key(settings, provider.key)
        if provider.key is not None and key is None and keys_needed:
            raise SettingsError(f"The routing file's provider {name!r} needs a key: set {provider.key}.")
        found[name] = Options(
            base_url=parse_base_url(provider.base_url or "", f"base_url of the provider {name!r}"),
            api_key=key,
            key_name=provider.key or "the provider's key in the routing file",
            model_name="the routing file",
            speaks=provider.dialect,
        )
    return found


@asynccontextmanager
async def open_session(*, keep_alive: bool) -> AsyncIterator[aiohttp.ClientSession]:
    """The HTTP session for a model server: no cookies, no decompression, nothing taken from the environment."""
    async with aiohttp.ClientSession(
        connector=KeepingConnector(limit=MAX_CONNECTIONS, force_close=not keep_alive),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    ) as session:
        yield session


@asynccontextmanager
async def open_model(settings: Settings) -> AsyncIterator[ChatEndpoint | BundledModel]:
    """The one model that the settings name: at OpenRouter, at a server, or the bundled one, with its process.

    Raises:
        SettingsError: the address or the key cannot be one.
        StartupError: no model is set and the bundled one is not installed.
    """
    options = endpoint_options(settings)
    if options is None:
        if settings.llm_model or settings.summary_model:
            _log.warning("llm_model and summary_model have no effect: the bundled model is in use")
        async with _open_bundled(settings) as model:
            yield model
        return
    async with open_session(keep_alive=True) as session:
        endpoint = ChatEndpoint(session, options)
        await _name_model(endpoint)
        yield endpoint


@asynccontextmanager
async def _open_bundled(settings: Settings) -> AsyncIterator[BundledModel]:
    async with open_session(keep_alive=False) as session:
        model = BundledModel(
            session,
            await asyncio.to_thread(find_model_file),
            silence_seconds=settings.first_token_seconds,
            total_seconds=settings.total_seconds,
        )
        async with open_bundled(model):
            yield model


@asynccontextmanager
async def _kept_fresh(catalogue: Catalogue) -> AsyncIterator[None]:
    task = asyncio.create_task(catalogue.keep_fresh(), name="price-lists")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def _name(settings: Settings) -> str:
    """What the one provider is called in the ledger and the log."""
    options = endpoint_options(settings)
    if options is None:
        return BUNDLED
    return OPENROUTER if options.dialect is Dialect.OPENROUTER else options.host


def _key(settings: Settings, name: str | None) -> SecretStr | None:
    """The key in an environment variable; the two that are settings too may stand in `vestige.toml`."""
    if name is None:
        return None
    known = {"OPENROUTER_API_KEY": settings.openrouter_api_key, "LLM_API_KEY": settings.llm_api_key}
    if name in known:
        return known[name]
    value = os.environ.get(name)
    return SecretStr(value) if value else None


def _announce(settings: Settings, name: str, options: Options) -> None:
    """Which environment this is and which key it uses, so that a key in the wrong place is seen at once."""
    key = options.api_key.get_secret_value().strip() if options.api_key else ""
    shown = f"…{key[-4:]}" if len(key) >= SHOWN_FROM else "set" if key else "none"
    _log.info("model key", environment=settings.environment, provider=name, host=options.host, key=shown)


async def _name_model(endpoint: ChatEndpoint) -> None:
    """Asks the server for its model where none is set. If it is not up yet, the first turn asks again."""
    try:
        name = await endpoint.find_model(LIST_SECONDS)
    except ModelError as error:
        _log.warning("no model yet", reason=error.message)
    else:
        _log.info("model", name=name, provider=endpoint.info.provider)
