"""Which names the server answers to, and which pages may call it.

A page elsewhere on the web must neither reach a server on somebody's own machine by a name of its making (DNS
rebinding: the Host header gives it away) nor send requests with somebody's cookie (Origin and Sec-Fetch-Site do).
"""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web

from server.api.keys import SETTINGS
from server.errors import Forbidden, InvalidRequest
from server.settings import LOOPBACK, Settings

__all__ = ["came_by_https", "check_host", "check_origin", "has_own_origin", "host_port"]

_HOST = re.compile(r"(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::([0-9]{1,5}))?")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """A host as a URL or a Host header names it: lower case, without brackets; `port` None where it is not said."""

    name: str
    port: int | None


def parse_host(value: str) -> Address | None:
    """The address in a Host header's value; None if there is none in it."""
    match = _HOST.fullmatch(value)
    if match is None:
        return None
    port = None if match[2] is None else int(match[2])
    if port is not None and not 0 < port < 65_536:
        return None
    return Address(match[1].strip("[]").lower().rstrip("."), port)


def check_host(request: web.Request) -> None:
    """Raises:
    InvalidRequest: there is no Host header, or it is not one host.
    Forbidden: the server does not answer to that name.
    """
    values = request.headers.getall("Host", [])
    address = parse_host(values[0]) if len(values) == 1 else None
    if address is None:
        raise InvalidRequest("The request needs one Host header with the server's name.", field="Host")
    if address.name not in _names(request.app[SETTINGS]) and address.name != _local_address(request):
        raise Forbidden(
            "This server does not answer to that host name. If it should, add the name to allowed_hosts.", reason="host"
        )


def check_origin(request: web.Request) -> None:
    """Raises:
    Forbidden: a page of another origin sent this. Following a link to us from anywhere is fine.
    """
    foreign = "Origin" in request.headers and not has_own_origin(request)
    site = request.headers.get("Sec-Fetch-Site", "none")
    if site not in ("same-origin", "none"):
        follows_link = (
            request.method == "GET"
            and request.headers.get("Sec-Fetch-Mode") == "navigate"
            and request.headers.get("Sec-Fetch-Dest") == "document"
        )
        foreign = foreign or not follows_link
    if foreign:
        raise Forbidden("Pages of another origin may not use this server.", reason="origin")


def has_own_origin(request: web.Request) -> bool:
    """Whether an Origin header says that our own page sent the request; False where there is none."""
    values = request.headers.getall("Origin", [])
    if len(values) != 1:
        return False
    scheme, separator, rest = values[0].partition("://")
    origin = parse_host(rest)
    if not separator or scheme not in _DEFAULT_PORTS or origin is None:
        return False
    public = request.app[SETTINGS].public_url
    if public and _same(scheme, origin, *_url_address(public)):
        return True
    host = parse_host(request.headers.get("Host", ""))
    return host is not None and _same(scheme, origin, scheme, host)


def came_by_https(request: web.Request) -> bool:
    """Whether the browser's side of the connection is https, as far as it and a proxy say.

    Only for what concerns the asking browser alone: both headers are the client's to choose.
    """
    if request.secure or request.headers.get("X-Forwarded-Proto") == "https":
        return True
    if "Origin" in request.headers:
        return request.headers["Origin"].startswith("https://")
    public, host = request.app[SETTINGS].public_url, parse_host(request.headers.get("Host", ""))
    if not public or host is None:
        return False
    scheme, address = _url_address(public)
    return scheme == "https" and address.name == host.name


def host_port(request: web.Request) -> int | None:
    """The port people reach the server by, None for the default one."""
    address = parse_host(request.headers.get("Host", ""))
    return None if address is None else address.port


def _same(scheme: str, one: Address, other_scheme: str, other: Address) -> bool:
    default = _DEFAULT_PORTS[scheme]
    return scheme == other_scheme and one.name == other.name and (one.port or default) == (other.port or default)


def _names(settings: Settings) -> frozenset[str]:
    listed = (parse_host(name) for name in settings.allowed_hosts)
    names = {*LOOPBACK, settings.host.lower(), *(address.name for address in listed if address is not None)}
    if settings.public_url:
        names.add(_url_address(settings.public_url)[1].name)
    return frozenset(names)


def _url_address(url: str) -> tuple[str, Address]:
    parts = urlsplit(url)
    return parts.scheme, Address((parts.hostname or "").lower(), parts.port)


def _local_address(request: web.Request) -> str | None:
    """The address this connection came in on. A rebinding page cannot name it: its Host is a name, not our number."""
    transport = request.transport
    name = None if transport is None else transport.get_extra_info("sockname")
    return str(name[0]).lower() if isinstance(name, tuple) else None
