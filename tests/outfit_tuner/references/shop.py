"""A shop on this machine that speaks real TLS, and a network in which it has public addresses."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpcore

TLS = Path(__file__).parent / "tls"
PUBLIC = "93.184.216.34"

Script = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


class Shop:
    """Answers by path: `pages[path]` is what is written for it, or a coroutine that writes. `requests` is what came."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes | Script] = {}
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(OSError, asyncio.IncompleteReadError):
            request = await reader.readuntil(b"\r\n\r\n")
            self.requests.append(request)
            page = self.pages.get(request.split(b" ")[1].decode(), answer(404))
            if isinstance(page, bytes):
                writer.write(page)
                await writer.drain()
            else:
                await page(request, writer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def answer(status: int = 200, body: bytes = b"", **headers: str) -> bytes:
    """An HTTP response; underscores in header names are dashes, and a `None` leaves a default one out."""
    sent = {"content_length": str(len(body)), "content_type": "image/png"} | headers
    lines = [f"HTTP/1.1 {status} X", *(f"{key.replace('_', '-')}: {value}" for key, value in sent.items() if value)]
    return "\r\n".join([*lines, "", ""]).encode() + body


@asynccontextmanager
async def open_shop() -> AsyncIterator[Shop]:
    shop = Shop()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "certificate.pem", TLS / "key.pem")
    server = await asyncio.start_server(shop.serve, "127.0.0.1", 0, ssl=context)
    shop.port = server.sockets[0].getsockname()[1]
    try:
        yield shop
    finally:
        server.close()


def trust() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=TLS / "certificate.pem")


class Internet(httpcore.AsyncNetworkBackend):
    """Every address leads to the shop, except those in `unreachable`. `connected` is where connections went."""

    def __init__(self, shop: Shop, unreachable: frozenset[str] = frozenset()) -> None:
        self._shop = shop
        self._unreachable = unreachable
        self._real: Any = httpcore.AnyIOBackend()
        self.connected: list[str] = []

    async def connect_tcp(self, host: str, port: int, *rest: Any, **options: Any) -> httpcore.AsyncNetworkStream:
        self.connected.append(host)
        if host in self._unreachable:
            raise httpcore.ConnectError("no route")
        return await self._real.connect_tcp("127.0.0.1", self._shop.port, *rest, **options)


class Names:
    """A name server. Each answer of a list of lists is given once, the last one for ever."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self._answers = {name.replace("_", "."): list(found) for name, found in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        answers = self._answers.get(host, [[PUBLIC]])
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if not found:
            raise OSError("no such host")
        return found
