"""The composition root: every service of the server, and its lifetime, on one screen."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web

from server.accounts.service import Accounts
from server.api import middlewares, ops
from server.api.backup import SOURCES
from server.api.html import Html
from server.api.keys import ACCOUNTS, CHECKS, ERASE, METRICS, MODEL, SETTINGS
from server.api.routes import add_routes
from server.api.services import (
    ASIDE,
    CATALOG,
    CHARACTERS,
    CHAT,
    CHAT_PICTURES,
    FLEET,
    GATE,
    GRIDS,
    HTML,
    LORAS,
    MEMORY,
    MONEY,
    OBJECTS,
    PICTURES,
    PUSHER,
    RECONCILER,
    REFERENCES,
    ROUTING,
)
from server.backup.take import Sources
from server.catalog.catalog import Catalog
from server.catalog.references import References
from server.catalog.references.fetch import Fetcher
from server.catalog.store import CharacterStore
from server.chat.aside import Aside
from server.chat.pictures.open import open_pictures_in_chat
from server.chat.pictures.shown import ShownPictures
from server.chat.reconcile.answering import Reconciler
from server.chat.service import DRAIN_SECONDS, SAVE_SECONDS, ChatService
from server.composition.erasing import eraser
from server.composition.parts import all_routes
from server.datafolder import DataFolder
from server.ending import end
from server.loras.push import open_pusher
from server.loras.service import Loras
from server.memory.embedding import Embedder, make_embedder
from server.memory.service import Memory
from server.memory.views import MemoryOptions
from server.metrics import Metrics
from server.policy.open import open_gate
from server.render.fleet.config import host_configs, open_fleet
from server.render.grids.grids import Grids
from server.render.previews.open import PreviewSources, open_previews
from server.routing.ledger.open import Money, open_money
from server.routing.ledger.renders import RenderLedger
from server.routing.open import Providers, open_chain, open_providers
from server.routing.types import LanguageModel
from server.settings import Settings
from server.stores.chroma import open_chroma
from server.stores.errors import store_errors
from server.stores.objects_open import open_objects
from server.stores.redis import RedisPair, open_redis
from server.together import together
from server.web.routes import IMAGE_ORIGIN, Page
from server.web.routes import routes as page_routes

__all__ = ["CHAT", "FOLDER", "MEMORY", "REDIS", "Overrides", "build_app"]

SWEEP_SECONDS = 300.0
EMBEDDER_THREADS = min(2, os.cpu_count() or 1)
"""A query is on the path of every turn, and two threads take two thirds of the time of one."""

FOLDER: web.AppKey[DataFolder] = web.AppKey("folder", DataFolder)
REDIS: web.AppKey[RedisPair] = web.AppKey("redis", RedisPair)


@dataclass(frozen=True)
class Overrides:
    """What tests and measurements put in the place of the real thing, and how long waits are. Times in seconds."""

    model: LanguageModel | None = None
    embedder: Embedder | None = None
    fetcher: Fetcher | None = None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    save_seconds: float = SAVE_SECONDS
    drain_seconds: float = DRAIN_SECONDS


def build_app(settings: Settings, *, owner_token: str, overrides: Overrides | None = None) -> web.Application:
    """The whole server, to be given to `web.AppRunner` with `middlewares.server_options()`.

    Nothing is opened before the runner's `setup`, which raises `StartupError` where something does not start. The
    runner's `cleanup` drains replies and closes everything in order.
    """
    overrides = overrides or Overrides()
    app = web.Application(client_max_size=settings.body_bytes)
    app[SETTINGS], app[METRICS], app[HTML] = settings, Metrics(), Html()
    app[FOLDER] = DataFolder(settings.data)
    add_routes(app, all_routes())
    app.router.add_routes(page_routes(Page()))
    middlewares.install(app)
    ops.install(app)

    async def services(app: web.Application) -> AsyncIterator[None]:
        async with _services(app, settings, owner_token, overrides):
            yield

    async def drain(app: web.Application) -> None:
        if CHAT in app:  # else the start failed
            await app[CHAT].drain(overrides.drain_seconds)

    app.cleanup_ctx.append(services)
    app.on_shutdown.append(drain)
    return app


@asynccontextmanager
async def _services(
    app: web.Application, settings: Settings, owner_token: str, overrides: Overrides
) -> AsyncIterator[None]:
    folder, metrics, clock = app[FOLDER], app[METRICS], overrides.clock
    embedder = overrides.embedder or make_embedder(settings.embedder, threads=EMBEDDER_THREADS)
    with folder.open():
        async with (
            together(
                open_redis(settings, folder),
                open_chroma(settings, folder, dim=embedder.dim, embedder_id=embedder.id),
                _given(overrides.model) if overrides.model else open_providers(settings),
                _warm(embedder),
            ) as (redis, chroma, opened, _),
            _money(opened, settings, redis, metrics) as money,
            open_chain(opened, redis.cache, metrics.registry, money.ledger, clock) as routed,
            open_gate(settings, embedder, metrics.registry) as gate,
            open_objects(settings, metrics.registry) as objects,
        ):
            model = routed.model
            memory = Memory(
                redis,
                chroma,
                embedder,
                options=MemoryOptions.of(settings),
                model=model,
                registry=metrics.registry,
                clock=clock,
            )
            accounts = Accounts(redis.busy, settings, owner_token=owner_token, clock=clock)
            characters = CharacterStore(settings.characters or folder.characters, clock=clock)
            shown = ShownPictures(redis.busy, memory)
            app[REDIS], app[MODEL], app[MEMORY], app[CHARACTERS] = redis, model, memory, characters
            app[GATE] = gate
            references = References(
                objects, redis.busy, fetcher=overrides.fetcher, registry=metrics.registry, clock=clock
            )
            loras = Loras.over(redis.busy, objects, folder, registry=metrics.registry, clock=clock)
            catalog = Catalog.over(redis.busy, references, loras.registry, clock=clock)
            app[OBJECTS], app[REFERENCES], app[LORAS], app[CATALOG] = objects, references, loras, catalog
            app[IMAGE_ORIGIN] = await objects.origin()
            app[SOURCES] = Sources.of(settings, folder, redis, chroma, embedder, objects)
            app[ACCOUNTS], app[MONEY], app[ROUTING] = accounts, money, routed.reporter
            app[CHECKS] = {
                "redis": lambda: _ping(redis),
                "chroma": chroma.check,
                "embedder": embedder.warm,
                "model": model.check,
                "objects": objects.check,
            }
            await accounts.ensure_owner()
            hosts = [(one.name, one.url, one.token) for one in host_configs(settings)]
            async with (
                open_pusher(hosts, objects, loras.registry, metrics.registry) as app[PUSHER],
                _swept(memory),
                catalog.telling(),
                references.collecting(catalog.items.shown),
                open_fleet(settings, redis.busy, metrics.registry) as fleet,
                fleet.watching(),
                open_previews(
                    settings,
                    redis,
                    PreviewSources(objects, references, catalog, characters, loras.registry),
                    fleet,
                    gate,
                    RenderLedger(money.ledger),
                    metrics.registry,
                    pinned=shown.among,
                ) as pictures,
            ):
                in_chat = open_pictures_in_chat(
                    redis.busy, memory, accounts, characters, catalog, pictures.previews, shown, clock
                )
                chat = ChatService(
                    memory,
                    model,
                    characters,
                    settings,
                    metrics,
                    gate,
                    clock=clock,
                    save_seconds=overrides.save_seconds,
                    beside=in_chat.beside,
                )
                app[FLEET], app[PICTURES], app[CHAT_PICTURES], app[CHAT] = fleet, pictures, in_chat.pictures, chat
                app[GRIDS] = Grids(pictures.previews, catalog.looks, loras.registry, objects, redis.busy)
                app[RECONCILER], app[ASIDE] = Reconciler(chat, memory), Aside(model, gate, settings)
                app[ERASE] = eraser(chat, in_chat.pictures, characters, catalog, references, pictures, money.ledger)
                yield


async def _ping(redis: RedisPair) -> None:
    with store_errors("memory"):
        await redis.state.ping()
    with store_errors("cache"):
        await redis.cache.ping()


@asynccontextmanager
async def _warm(embedder: Embedder) -> AsyncIterator[None]:
    try:
        await embedder.warm()
        yield
    finally:
        embedder.close()


def _money(
    opened: Providers | LanguageModel, settings: Settings, redis: RedisPair, metrics: Metrics
) -> AbstractAsyncContextManager[Money]:
    if not isinstance(opened, Providers):
        return open_money(settings, redis.busy, metrics.registry)
    return open_money(
        settings, redis.busy, metrics.registry, metered=opened.metered, generations=opened.generation_cost
    )


@asynccontextmanager
async def _given(model: LanguageModel) -> AsyncIterator[LanguageModel]:
    yield model


@asynccontextmanager
async def _swept(memory: Memory) -> AsyncIterator[None]:
    """Sweeps up what was abandoned, now and then; on the way out, windows in flight are closed."""

    async def sweep() -> None:
        while True:
            await memory.start()
            await asyncio.sleep(SWEEP_SECONDS)

    sweeping = asyncio.create_task(sweep(), name="sweeper")
    try:
        yield
    finally:
        await end([sweeping])
        await memory.aclose()
