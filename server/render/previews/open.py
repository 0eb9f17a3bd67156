"""Previews with everything they need, opened and closed."""

from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from server.catalog.catalog import Catalog
from server.catalog.references import References
from server.catalog.store import CharacterStore
from server.loras.registry import Registry
from server.policy.gate import Gate
from server.render.fleet.fleet import Fleet
from server.render.fleet.state import FleetState
from server.render.forgetting.forgetting import Forgetting, Wanted
from server.render.forgetting.todo import Todo
from server.render.jobs.open import open_jobs
from server.render.previews.ahead import Ahead
from server.render.previews.collect import Collector, Pinned
from server.render.previews.meters import PreviewMeters
from server.render.previews.previews import Previews
from server.render.previews.purse import Ledger, Purse
from server.render.previews.shelf import Shelf
from server.render.previews.subject import Subjects
from server.render.previews.upkeep import running
from server.render.worker.supervisor import running_workers
from server.settings import Settings
from server.stores.objects import Objects
from server.stores.redis import RedisPair

__all__ = ["Pictures", "PreviewSources", "open_previews"]


@dataclass(frozen=True, slots=True)
class Pictures:
    """What the server has of previews: asking for them, making them ahead, taking them away here and at the hosts."""

    previews: Previews
    ahead: Ahead
    collector: Collector
    forgetting: Forgetting


@dataclass(frozen=True, slots=True)
class PreviewSources:
    """What pictures are made of, and where they are kept."""

    objects: Objects
    references: References
    catalog: Catalog
    characters: CharacterStore
    loras: Registry


@asynccontextmanager
async def open_previews(
    settings: Settings,
    redis: RedisPair,
    sources: PreviewSources,
    fleet: Fleet,
    gate: Gate,
    ledger: Ledger,
    registry: CollectorRegistry,
    *,
    pinned: Pinned | None = None,
) -> AsyncIterator[Pictures]:
    """Opens previews and does their housekeeping until left, with worker processes where the settings ask for them.

    `pinned`: which pictures a conversation shows; None where none does.
    """
    objects, catalog = sources.objects, sources.catalog
    async with AsyncExitStack() as stack:
        jobs = await stack.enter_async_context(open_jobs(redis, waiting_most=settings.render_waiting))
        subjects = Subjects(sources.characters, catalog, fleet)
        todo = Todo(redis.busy)
        shelf, meters = Shelf(redis.busy, jobs, objects, todo), PreviewMeters(registry)
        purse = Purse(ledger, jobs, int(settings.render_cost * 1_000_000))
        previews = Previews(jobs, subjects, shelf, purse, gate, meters)
        ahead = Ahead(previews, catalog, fleet, redis.busy, most=settings.prerender_most, tier=settings.default_tier)
        if settings.prerender:
            catalog.items.on_put(ahead.item_changed)
            catalog.looks.on_put(ahead.look_changed)
            sources.loras.on_move(ahead.lora_moved)
        collector = Collector(redis.busy, shelf, subjects, objects, pinned, days=settings.preview_days)
        forgetting = Forgetting(todo, fleet, FleetState(redis.busy), _wanted(sources), registry)
        sources.references.on_gone(forgetting.references)
        await stack.enter_async_context(running(redis.busy, jobs, purse, ahead, collector, meters))
        await stack.enter_async_context(forgetting.running())
        if settings.comfy_hosts and settings.render_workers:
            await stack.enter_async_context(running_workers(settings, redis, settings.render_workers))
        yield Pictures(previews, ahead, collector, forgetting)


def _wanted(sources: PreviewSources) -> Wanted:
    async def wanted(references: Collection[str]) -> set[str]:
        return await sources.references.brought(references) | await sources.catalog.items.shown(references)

    return wanted
