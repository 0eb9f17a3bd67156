"""A closed loop: so many clients, each sending its next request when the last one is answered.

The client is a few lines over asyncio, since what it costs is taken off the same cores as what is measured: it sends
bytes made beforehand, and looks only at the status and for the end of the answer.
"""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import cast

from bench.report import percentile

_MS = 1000.0
_PATIENCE = 60.0  # seconds for one answer
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go: a port of this machine and whole requests, which the clients take turns with.

    Client `n` of `c` sends every `c`-th of them from the `n`-th on, again and again. `status`: of every answer.
    """

    port: int
    requests: Sequence[bytes]
    status: int = 200


@dataclass(frozen=True, slots=True)
class Measured:
    """`rate` in requests per second, times in milliseconds."""

    rate: float
    p50: float
    p99: float


def post(port: int, path: str, body: Mapping[str, object], headers: Mapping[str, str]) -> bytes:
    """A whole request, to be sent as it is."""
    data = json.dumps(body).encode()
    lines = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(data)}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + data


async def measure(target: Target, clients: int, seconds: float, *, warm: int = 3) -> Measured:
    """`clients` of them for `seconds`, after `warm` requests of each that do not count.

    Raises:
        SystemExit: a request failed.
    """
    crowd = _crowd(target, clients)
    try:
        await asyncio.gather(*(_repeat(client, warm) for client in crowd))
        began = time.perf_counter()
        rows = await asyncio.gather(*(_until(client, began + seconds) for client in crowd))
        took = time.perf_counter() - began
    finally:
        for client in crowd:
            client.close()
    times = [each * _MS for row in rows for each in row]
    return Measured(len(times) / took, percentile(times, 0.5), percentile(times, 0.99))


async def send_all(target: Target, clients: int) -> None:
    """Every request once, by so many clients. Raises `SystemExit` where one failed."""
    crowd = _crowd(target, clients)
    try:
        await asyncio.gather(
            *(_repeat(client, len(target.requests[number::clients])) for number, client in enumerate(crowd))
        )
    finally:
        for client in crowd:
            client.close()


def _crowd(target: Target, clients: int) -> "list[_Client]":
    return [_Client(target, cycle(target.requests[number::clients])) for number in range(clients)]


async def _repeat(client: "_Client", times: int) -> None:
    for _ in range(times):
        await client.ask()


async def _until(client: "_Client", end: float) -> list[float]:
    times: list[float] = []
    while (began := time.perf_counter()) < end:
        await client.ask()
        times.append(time.perf_counter() - began)
    return times


class _Client:
    """Sends its requests one by one, on a connection that is kept for as long as the server keeps it."""

    def __init__(self, target: Target, requests: Iterator[bytes]) -> None:
        self._port = target.port
        self._good = f"HTTP/1.1 {target.status}".encode()
        self._requests = requests
        self._connection: _Connection | None = None

    async def ask(self) -> None:
        request = next(self._requests)
        for _ in range(_TRIES):
            if self._connection is None:
                loop = asyncio.get_running_loop()
                _, self._connection = await loop.create_connection(_Connection, "127.0.0.1", self._port)
            try:
                async with asyncio.timeout(_PATIENCE):
                    answer = await self._connection.ask(request)
            except ConnectionError:  # closed since the last answer
                self._connection = None
                continue
            if not answer.startswith(self._good):
                raise SystemExit(f"a request failed: {answer[:600].decode(errors='replace')}")
            return
        raise SystemExit(f"port {self._port} hangs up without an answer")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class _Connection(asyncio.Protocol):
    """One request after the other on one kept connection."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[bytes] | None = None
        self._data = bytearray()
        self._size: int | None = None  # of the whole answer; 0 where it comes in chunks, None before that is known
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    async def ask(self, request: bytes) -> bytes:
        """The whole answer. Raises `ConnectionError` where the server hangs up before."""
        if self._lost:
            raise ConnectionError
        self._data.clear()
        self._size = None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        self._data += data
        if self._size is None:
            head = self._data.find(b"\r\n\r\n")
            if head < 0:
                return
            length = self._data[:head].lower().partition(b"\r\ncontent-length:")[2].split(b"\r\n", 1)[0]
            self._size = head + 4 + int(length) if length else 0
        whole = len(self._data) >= self._size if self._size else self._data.endswith(b"\r\n0\r\n\r\n")
        if whole and self._answer is not None and not self._answer.done():
            self._answer.set_result(bytes(self._data))

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError())

    def close(self) -> None:
        self._transport.close()
