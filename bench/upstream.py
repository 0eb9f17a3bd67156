"""A model that costs nothing: streams a short fixed reply at once. `python -m bench.upstream` prints its port."""

import asyncio
import json
import sys

from aiohttp import web

REPLY = "That sounds like a day worth keeping. Tell me what the light was like when you came home."


def _event(body: dict[str, object]) -> bytes:
    chunk = {"id": "x", "object": "chat.completion.chunk", "model": "free", **body}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _choice(delta: dict[str, str], finish: str | None = None) -> bytes:
    return _event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def _stream() -> bytes:
    first, *others = REPLY.split(" ")
    pieces = [first, *(" " + word for word in others)]
    usage = {"prompt_tokens": 1, "completion_tokens": len(pieces), "total_tokens": 1 + len(pieces)}
    events = [*(_choice({"content": piece}) for piece in pieces), _choice({}, "stop")]
    return b"".join(events) + _event({"choices": [], "usage": usage}) + b"data: [DONE]\n\n"


async def _complete(request: web.Request) -> web.StreamResponse:
    await request.read()
    return web.Response(body=_stream(), content_type="text/event-stream")


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
    asyncio.run(_main())
