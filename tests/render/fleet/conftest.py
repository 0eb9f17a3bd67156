"""Fleets over fake hosts and a real Redis."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry
from yarl import URL

from server.render.fleet.fleet import Fleet
from server.render.fleet.meters import FleetMeters
from server.render.fleet.state import FleetState
from server.render.host import ComfyHost
from server.stores.redis import RedisPair
from tests.fakes.comfyui import FakeComfy, fake_comfy
from tests.render.graphs.described import CHECKPOINTS, LORAS, described

TOKEN = "the-token-of-the-tests"

MODELS: dict[str, Any] = {
    "checkpoints": [{"file": CHECKPOINTS[1], "bytes": 7, "sha256": "2" * 64, "family": "sdxl"}],
    "loras": [{"file": LORAS[0], "bytes": 7, "sha256": "a" * 64}, {"file": LORAS[1], "bytes": 7, "sha256": None}],
}
StartHost = Callable[..., Awaitable[FakeComfy]]
MakeFleet = Callable[..., Fleet]


@pytest.fixture
async def start_host() -> AsyncIterator[StartHost]:
    """`await start_host(**fields)`: a fake host; with our pack, its token and hashes unless told otherwise."""
    async with AsyncExitStack() as stack:

        async def start(**how: Any) -> FakeComfy:
            fields = {"token": TOKEN, "nodes": described(), "models": MODELS} | how
            return await stack.enter_async_context(fake_comfy(**fields))

        yield start


@pytest.fixture
async def make_fleet(redis_pair: RedisPair) -> AsyncIterator[MakeFleet]:
    """`make_fleet(gpu1=fake, …)`: a fleet of fakes; several in one test are several workers over one Redis."""
    async with aiohttp.ClientSession() as session:

        def make(registry: CollectorRegistry | None = None, **fakes: FakeComfy | str) -> Fleet:
            meters = FleetMeters(registry or CollectorRegistry())
            hosts = {
                name: ComfyHost(
                    session,
                    URL(fake if isinstance(fake, str) else fake.url),
                    token=TOKEN,
                    name=name,
                    meter=meters.calls(name),
                )
                for name, fake in fakes.items()
            }
            return Fleet(FleetState(redis_pair.busy), hosts, meters)

        yield make
