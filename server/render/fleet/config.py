"""The fleet of the settings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from yarl import URL

from server.render.fleet.fleet import Fleet, FleetOptions
from server.render.fleet.meters import FleetMeters
from server.render.fleet.state import FleetState
from server.render.fleet.types import HostConfig
from server.render.host import ComfyHost
from server.settings import Settings

__all__ = ["host_configs", "open_fleet"]

CONNECTIONS_PER_HOST = 16


def host_configs(settings: Settings) -> list[HostConfig]:
    """Every host, with the token that its pack is asked with."""
    shared = settings.comfy_token.get_secret_value() if settings.comfy_token else None
    return [HostConfig(name, host.url, host.secret() or shared) for name, host in settings.comfy_hosts.items()]


@asynccontextmanager
async def open_fleet(settings: Settings, redis: Redis, registry: CollectorRegistry) -> AsyncIterator[Fleet]:
    """The fleet, over one HTTP session. Nothing is asked of a host yet; see `Fleet.watching`.

    Args:
        redis: the state store, which all servers and workers share.
    """
    meters = FleetMeters(registry)
    connector = aiohttp.TCPConnector(limit=0, limit_per_host=CONNECTIONS_PER_HOST)
    async with aiohttp.ClientSession(connector=connector, trust_env=False) as session:
        hosts = {
            one.name: ComfyHost(session, URL(one.url), token=one.token, name=one.name, meter=meters.calls(one.name))
            for one in host_configs(settings)
        }
        options = FleetOptions(settings.comfy_render_seconds, settings.comfy_swap_seconds)
        yield Fleet(FleetState(redis), hosts, meters, options)
