"""Fetching a picture from an address that somebody typed in, without being led astray by it.

The name is resolved once, every address it has must be public, and the connection goes to one of exactly these: nothing
is left for a second answer of the name server to change. A redirect is a new address, checked like the first. There are
no cookies, no credentials and no proxy, and what comes back is bounded in bytes and in time. No message and no log line
has more of an address than its host, since the rest may be a signature; `server.cli.logs` keeps httpcore quiet.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpcore
import httpx
from prometheus_client import CollectorRegistry, Counter, Histogram

from server.catalog.limits import FILE_BYTES
from server.catalog.references.addresses import Place, is_public, place_of
from server.errors import InvalidReference, TooLarge

__all__ = ["Fetcher", "Resolve", "SystemResolver"]

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""`(host, port)` → its IP addresses. Raises `OSError` where it has none."""

MAX_REDIRECTS = 4
SECONDS = 30.0  # for all of it
CONNECT_SECONDS = 8.0
SILENCE_SECONDS = 8.0
_AT_ONCE = 8
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TYPES = frozenset({"image/png", "image/jpeg", "image/jpg", "image/webp"})
_UNSAID = frozenset({"", "application/octet-stream", "binary/octet-stream"})  # what object stores send untold
_EXPIRED = frozenset({400, 401, 403, 404, 410})  # what stores answer to a signature that has run out
_HEADERS = (
    (b"Accept", b"image/png, image/jpeg, image/webp"),
    (b"Accept-Encoding", b"identity"),
    (b"User-Agent", b"vestige"),
    (b"Connection", b"close"),
)


class Fetcher:
    """Gets bytes from the public internet. One for all requests; it holds no connection between them."""

    def __init__(
        self,
        *,
        resolve: Resolve | None = None,
        network: httpcore.AsyncNetworkBackend | None = None,
        tls: ssl.SSLContext | None = None,
        seconds: float = SECONDS,
        registry: CollectorRegistry | None = None,
    ) -> None:
        """Without arguments: this machine's resolver and network, and the certificates it trusts."""
        registry = registry if registry is not None else CollectorRegistry()
        self._fetches = Counter(
            "vestige_reference_fetches",
            "Pictures fetched by address, by what came of it",
            ["outcome"],
            registry=registry,
        )
        self._fetch_seconds = Histogram(
            "vestige_reference_fetch_seconds", "Fetching a picture, failures too", registry=registry
        )
        real: Any = network or httpcore.AnyIOBackend()
        self._network = _PublicNetwork(resolve or SystemResolver(), real)
        self._tls = tls
        self._seconds = seconds
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def fetch(self, url: str) -> bytes:
        """What is at `url`: at most 10 MB, of a type that pictures have. It may be no picture yet.

        Raises:
            InvalidReference: this address is not fetched, or nothing usable came from it; `details.reason` says which.
            TooLarge: it is longer.
        """
        with self._counted():
            place = place_of(url)
            try:
                async with asyncio.timeout(self._seconds), self._free:
                    return await self._follow(place)
            except TimeoutError:
                raise _failed("timeout", f"The picture did not arrive within {self._seconds:g} seconds.") from None

    @contextmanager
    def _counted(self) -> Iterator[None]:
        outcome = "broken_off"
        try:
            with self._fetch_seconds.time():
                yield
            outcome = "ok"
        except InvalidReference as error:
            outcome = str(error.details["reason"])
            raise
        except TooLarge as error:
            outcome = error.code
            raise
        finally:
            self._fetches.labels(outcome).inc()

    async def _follow(self, place: Place) -> bytes:
        if self._tls is None:
            self._tls = await asyncio.to_thread(httpx.create_ssl_context)
        async with httpcore.AsyncConnectionPool(
            ssl_context=self._tls, network_backend=self._network, max_keepalive_connections=0
        ) as pool:
            for _ in range(MAX_REDIRECTS + 1):
                answer = await self._ask(pool, place)
                if isinstance(answer, bytes):
                    return answer
                place = answer
        raise _failed("too_many_redirects", f"{place.host} sends from one address to the next, without end.")

    async def _ask(self, pool: httpcore.AsyncConnectionPool, place: Place) -> bytes | Place:
        """What is at a place, or where it sends."""
        url = httpcore.URL(scheme=b"https", host=place.host.encode(), port=place.port, target=place.target)
        limits = {"connect": CONNECT_SECONDS, "read": SILENCE_SECONDS, "write": SILENCE_SECONDS}
        headers = [(b"Host", place.name.encode()), *_HEADERS]
        try:
            async with pool.stream("GET", url, headers=headers, extensions={"timeout": limits}) as response:
                if response.status in _REDIRECTS:
                    return place.elsewhere(_header(response, b"location"))
                return await _body(place, response)
        except httpcore.TimeoutException:
            raise _failed("timeout", f"{place.host} does not answer in time.") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            if isinstance(error.__cause__ or error.__context__, ssl.SSLError):
                raise _failed("bad_certificate", f"{place.host} has no certificate that can be trusted.") from None
            raise _failed("unreachable", f"{place.host} cannot be reached, or broke off.") from None


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
        except (OSError, UnicodeError):
            addresses = []
        if not addresses:
            raise _failed("unreachable", f"{host} has no address: look for a typing error.")
        if not all(is_public(address) for address in addresses):
            raise _failed("private_address", f"{host} is not on the public internet: upload the picture instead.")
        for address in addresses[:-1]:
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.NetworkError, httpcore.TimeoutException):
                continue  # for one, IPv6 on a machine that has none
        return await self._network.connect_tcp(addresses[-1], port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class SystemResolver:
    """Every address of a host, as this machine sees it.

    In threads of its own: a name server that keeps silent holds one for half a minute, and those that everything else
    of the server shares are few.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="resolver")

    async def __call__(self, host: str, port: int) -> list[str]:
        ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def _body(place: Place, response: httpcore.Response) -> bytes:
    if response.status in _EXPIRED:
        raise _failed(
            "bad_status",
            f"{place.host} answered {response.status}: the address may have expired, so copy a fresh one or upload "
            "the picture.",
        )
    if response.status != 200:
        raise _failed("bad_status", f"{place.host} answered {response.status}.")
    kind = _header(response, b"content-type").partition(";")[0].strip().lower()
    if kind not in _TYPES | _UNSAID:
        raise _failed("not_a_picture", f"What {place.host} sent is no PNG, JPEG or WebP picture.")
    if _header(response, b"content-encoding").strip().lower() not in ("", "identity"):
        raise _failed("packed", f"{place.host} sent the picture packed, though it was asked not to.")
    declared = _header(response, b"content-length")
    if declared.isdigit() and int(declared) > FILE_BYTES:
        raise _too_large()
    body = bytearray()
    async for part in response.aiter_stream():
        body += part
        if len(body) > FILE_BYTES:
            raise _too_large()
    return bytes(body)


def _header(response: httpcore.Response, name: bytes) -> str:
    return next((value for key, value in response.headers if key.lower() == name), b"").decode("latin-1")


def _failed(reason: str, message: str) -> InvalidReference:
    return InvalidReference(message, reason=reason)


def _too_large() -> TooLarge:
    return TooLarge(f"The picture is too large: {FILE_BYTES // 2**20} MB are allowed.", limit=FILE_BYTES)
