"""A model that replies at once, streamed or whole, at next to no cost. `python -m bench.upstream` prints its port."""

import asyncio
import json
import sys

import uvloop
from aiohttp import web

REPLY = "That sounds like a day worth keeping. Tell me what the light was like when you came home."
WORDS = REPLY.split(" ")
USAGE = {"prompt_tokens": 40, "completion_tokens": len(WORDS), "total_tokens": 40 + len(WORDS), "cost": 0.000_02}


def _event(body: dict[str, object]) -> bytes:
    chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1_767_225_600, "model": "free", **body}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _choice(delta: dict[str, str], finish: str | None = None) -> bytes:
    return _event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def _stream() -> bytes:
    first, *others = WORDS
    pieces = [first, *(" " + word for word in others)]
    events = [*(_choice({"content": piece}) for piece in pieces), _choice({}, "stop")]
    return b"".join(events) + _event({"choices": [], "usage": USAGE}) + b"data: [DONE]\n\n"


def _whole() -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": REPLY}, "finish_reason": "stop"}
    body = {"id": "x", "object": "chat.completion", "created": 1_767_225_600, "model": "free"}
    return json.dumps({**body, "choices": [choice], "usage": USAGE}).encode()


STREAM, WHOLE = _stream(), _whole()


async def _complete(request: web.Request) -> web.StreamResponse:
    body = json.loads(await request.read())
    if body.get("stream"):
        return web.Response(body=STREAM, content_type="text/event-stream")
    return web.Response(body=WHOLE, content_type="application/json")


async def _models(_request: web.Request) -> web.StreamResponse:
    return web.json_response({"object": "list", "data": [{"id": "free", "object": "model"}]})


async def _main() -> None:
    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_post("/v1/chat/completions", _complete)
    app.router.add_get("/v1/models", _models)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_main())
