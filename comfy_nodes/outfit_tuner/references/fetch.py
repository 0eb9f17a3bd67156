"""Fetching a picture from an address that somebody typed in, without being led astray by it.

The host must be allowed. Its name is resolved once, every address it has must be public, and the connection goes to one
of exactly these: nothing is left for a second answer of the name server to change. A redirect is a new address, checked
like the first. There are no cookies, no credentials and no proxy, and what comes back is bounded in bytes and in time.
Nothing here logs or quotes more of an address than its host: the rest may be a signature.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from typing import Any

import httpcore
import httpx

from ..pictures import MAX_BYTES
from .addresses import is_public
from .fetch_errors import FetchFailed, FetchRefused
from .hosts import AllowedHosts, Place

__all__ = ["Fetcher", "Resolve", "system_resolver"]

Resolve = Callable[[str, int], Awaitable[list[str]]]

MAX_REDIRECTS = 4
SECONDS = 30.0  # for all of it
CONNECT_SECONDS = 8.0
SILENCE_SECONDS = 8.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TYPES = frozenset({"image/png", "image/jpeg", "image/jpg", "image/webp"})
_UNSAID = frozenset({"", "application/octet-stream", "binary/octet-stream"})  # what object stores send untold
_HEADERS = ((b"Accept", b"image/png, image/jpeg, image/webp"), (b"Accept-Encoding", b"identity"),
            (b"User-Agent", b"vestige"), (b"Connection", b"close"))  # fmt: skip


class Fetcher:
    """Gets bytes from allowed hosts. One for all requests; it holds no connection between them."""

    def __init__(
        self,
        hosts: AllowedHosts,
        *,
        resolve: Resolve | None = None,
        network: httpcore.AsyncNetworkBackend | None = None,
        tls: ssl.SSLContext | None = None,
        seconds: float = SECONDS,
    ) -> None:
        self._hosts = hosts
        plain: Any = network or httpcore.AnyIOBackend()
        self._network = _PublicNetwork(resolve or system_resolver, plain)
        self._tls = tls
        self._seconds = seconds

    async def fetch(self, url: str) -> bytes:
        """What is at `url`: at most `pictures.MAX_BYTES`, of a type that pictures have. It may be no picture yet.

        Raises:
            FetchError
        """
        place = self._hosts.check(url)
        silenced = _silenced.set(True)
        try:
            return await asyncio.wait_for(self._follow(place), self._seconds)
        except asyncio.TimeoutError:
            raise FetchFailed("timeout", f"The picture did not arrive within {self._seconds:g} seconds.") from None
        finally:
            _silenced.reset(silenced)

    async def _follow(self, place: Place) -> bytes:
        if self._tls is None:
            self._tls = httpx.create_ssl_context()
        async with httpcore.AsyncConnectionPool(
            ssl_context=self._tls, network_backend=self._network, max_keepalive_connections=0
        ) as pool:
            for _ in range(MAX_REDIRECTS + 1):
                answer = await self._ask(pool, place)
                if isinstance(answer, bytes):
                    return answer
                place = answer
        raise FetchFailed("too_many_redirects", f"{place.host} sends from one address to the next, without end.")

    async def _ask(self, pool: httpcore.AsyncConnectionPool, place: Place) -> bytes | Place:
        """What is at a place, or where it sends."""
        url = httpcore.URL(scheme=b"https", host=place.host.encode(), port=place.port, target=place.target)
        limits = {"connect": CONNECT_SECONDS, "read": SILENCE_SECONDS, "write": SILENCE_SECONDS}
        headers = [(b"Host", place.name.encode()), *_HEADERS]
        try:
            async with pool.stream("GET", url, headers=headers, extensions={"timeout": limits}) as response:
                if response.status in _REDIRECTS:
                    return self._elsewhere(place, response)
                return await _body(place, response)
        except httpcore.TimeoutException:
            raise FetchFailed("timeout", f"{place.host} does not answer in time.") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            if isinstance(error.__cause__ or error.__context__, ssl.SSLError):
                raise FetchFailed("bad_certificate", f"{place.host} has no certificate that can be trusted.") from None
            raise FetchFailed("unreachable", f"{place.host} cannot be reached, or broke off.") from None

    def _elsewhere(self, place: Place, response: httpcore.Response) -> Place:
        location = _header(response, b"location")
        if not location:
            raise FetchFailed("bad_answer", f"{place.host} sends elsewhere without saying where.")
        here = httpx.URL(scheme="https", host=place.host, port=place.port, raw_path=place.target)
        try:
            there = here.join(location)
        except (httpx.InvalidURL, ValueError):
            raise FetchFailed("bad_answer", f"{place.host} sends to an address that is none.") from None
        return self._hosts.check(there)


class _PublicNetwork(httpcore.AsyncNetworkBackend):
    """Connects to public addresses only. TLS still checks the certificate against the name."""

    def __init__(self, resolve: Resolve, network: httpcore.AsyncNetworkBackend) -> None:
        self._resolve = resolve
        self._network = network

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            addresses = await self._resolve(host, port)
        except OSError:
            addresses = []
        if not addresses:
            raise FetchFailed("unreachable", f"{host} has no address: look for a typing error.")
        if not all(is_public(address) for address in addresses):
            raise FetchRefused("private_address", f"{host} is not on the public internet: load the file instead.")
        for address in addresses[:-1]:
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.NetworkError, httpcore.TimeoutException):
                continue  # for one, IPv6 on a machine that has none
        return await self._network.connect_tcp(addresses[-1], port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def system_resolver(host: str, port: int) -> list[str]:
    """Every address of a host, as this machine sees it.

    Raises:
        OSError: it has none.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def _body(place: Place, response: httpcore.Response) -> bytes:
    if response.status != 200:
        hint = ": a signed address may have expired" if response.status in (400, 401, 403, 404, 410) else ""
        raise FetchFailed("bad_status", f"{place.host} answered {response.status}{hint}.")
    kind = _header(response, b"content-type").partition(";")[0].strip().lower()
    if kind not in _TYPES | _UNSAID:
        raise FetchFailed("not_a_picture", f"What {place.host} sent is no PNG, JPEG or WebP picture.")
    if _header(response, b"content-encoding").lower() not in ("", "identity"):
        raise FetchFailed("bad_answer", f"{place.host} sent the picture packed, though it was asked not to.")
    declared = _header(response, b"content-length")
    if declared.isdigit() and int(declared) > MAX_BYTES:
        raise _too_large()
    parts, size = [], 0
    async for part in response.aiter_stream():
        size += len(part)
        if size > MAX_BYTES:
            raise _too_large()
        parts.append(part)
    return b"".join(parts)


def _header(response: httpcore.Response, name: bytes) -> str:
    return next((value for key, value in response.headers if key.lower() == name), b"").decode("latin-1")


def _too_large() -> FetchFailed:
    return FetchFailed("too_large", f"The picture's file is larger than {MAX_BYTES // 2**20} MB.")


# httpcore writes headers to the debug log, and a redirect's may hold a signed address.
_silenced: ContextVar[bool] = ContextVar("_silenced", default=False)
for _name in ("httpcore.connection", "httpcore.http11"):
    logging.getLogger(_name).addFilter(lambda _: not _silenced.get())
