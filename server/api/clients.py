"""Whose address a request came from, also through proxies that the operator trusts."""

import ipaddress
from functools import lru_cache

from aiohttp import web

from server.api.keys import SETTINGS

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

UNKNOWN = "unknown"


def client_address(request: web.Request) -> str:
    """The client's address; `unknown` where the connection has none.

    `X-Forwarded-For` counts only where a trusted proxy sent it, and of it only what such proxies wrote: it is read from
    its end, and the first address that is no trusted proxy's is the client's.
    """
    proxies = _networks(request.app[SETTINGS].trusted_proxies)
    found = _parse(request.remote or "")
    if found is None:
        return UNKNOWN
    if proxies and _within(found, proxies):
        hops = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
        for hop in reversed(hops):
            behind = _parse(hop.strip())
            if behind is None:
                break
            found = behind
            if not _within(found, proxies):
                break
    return str(found)


def is_loopback(address: str) -> bool:
    """Whether it is this machine itself, or a connection without an address, such as a unix socket."""
    found = _parse(address)
    return found is None or found.is_loopback


@lru_cache(maxsize=4_096)
def _parse(text: str) -> Address | None:
    """An address, without its scope; one of IPv4 in IPv6 as what it is."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, ipaddress.IPv6Address) else found


def _within(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)


@lru_cache(maxsize=4)
def _networks(listed: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(each, strict=False) for each in listed)
