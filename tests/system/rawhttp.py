"""HTTP as no client library would send it."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` 0: the connection was closed without an answer."""

    status: int
    head: bytes
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        """The typed error; fails where the body is none."""
        error = json.loads(self.body)["error"]
        assert set(error) - {"type", "param"} == {"code", "message", "details"}  # the two are OpenAI's
        assert error["code"] and error["message"]
        return error


async def send(port: int, data: bytes, *, then_close: bool = False, seconds: float = 20.0) -> Answer:
    """Sends bytes and reads one answer. `then_close`: our side says that no more comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    try:
        async with asyncio.timeout(seconds):
            sending = asyncio.create_task(_send(writer, data, then_close))
            try:
                return await _read(reader)
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
    finally:
        writer.close()


async def _send(writer: asyncio.StreamWriter, data: bytes, then_close: bool) -> None:
    writer.write(data)
    await writer.drain()
    if then_close:
        writer.write_eof()


async def _read(reader: asyncio.StreamReader) -> Answer:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        body = await reader.readexactly(int(fields.get(b"content-length", b"0")))
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        partial = error.partial if isinstance(error, asyncio.IncompleteReadError) else b""
        return Answer(0, partial, b"")
    return Answer(int(head.split(None, 2)[1]), head, body)


def request(method: str, path: str, token: str | None, body: bytes | None = None, *lines: str) -> bytes:
    """A request whose path and header lines go out as they are. `lines` come last and may repeat a header."""
    head = [f"{method} {path} HTTP/1.1"]
    if not any(line.lower().startswith("host:") for line in lines):
        head.append("Host: localhost")
    if token is not None:
        head.append(f"Authorization: Bearer {token}")
    if body is not None and not any(line.lower().startswith("content-type:") for line in lines):
        head.append("Content-Type: application/json")
    if body is not None and not any(line.lower().startswith(("content-length:", "transfer-")) for line in lines):
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, *lines, "", ""]).encode("utf-8", "surrogateescape") + (body or b"")
