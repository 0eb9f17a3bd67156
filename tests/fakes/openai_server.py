"""A scripted OpenAI-compatible model server on loopback: real HTTP, real streaming, no model.

    async with FakeOpenAI() as fake:
        fake.next(says("Hello there"), fails(429, retry_after=7))   # the next two requests, in this order
        fake.respond = lambda request: f"You said {request.messages[-1]['content']}"   # all others
        ... LLM_BASE_URL = fake.base_url ...
        fake.requests[0].messages       # what was in the prompt

Its chunks have the shape llama.cpp's server sends (tests/routing/test_fake_is_true.py compares them) or, with
`openrouter=True`, the one OpenRouter documents. It needs no pytest.
"""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

CREATED = 1_700_000_000


@dataclass(frozen=True, slots=True)
class Say:
    """One chunk with text, in `content` or another field of the delta such as `reasoning` or `refusal`."""

    text: str
    field: str = "content"


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing until `event` is set; an event that never is makes a server that went silent."""

    event: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Raw:
    """These bytes as they are."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Send:
    """One event with this JSON merged into the usual chunk: an error in the stream, odd fields."""

    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class HangUp:
    """The connection is cut."""


@dataclass(frozen=True, slots=True)
class Drip:
    """These bytes one by one, each in a packet of its own as far as that can be had."""

    data: bytes


Step = Say | Pause | Hold | Raw | Send | HangUp | Drip


@dataclass(frozen=True, slots=True)
class Stream:
    """A reply, status 200. `usage` is merged into the counts, None sends none; `finish` None sends no last chunk."""

    steps: tuple[Step, ...]
    finish: str | None = "stop"
    usage: Mapping[str, Any] | None = field(default_factory=dict)
    done: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """Any other response; `body` is sent as JSON unless it is bytes."""

    status: int
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Not even headers: the connection is cut, or with `hang` held open in silence."""

    hang: bool = False


Script = Stream | Answer | NoAnswer


def tokens(text: str) -> list[str]:
    """`text` cut before each space, which is how most tokens look."""
    first, *rest = text.split(" ")
    return [first, *(f" {word}" for word in rest)]


def says(text: str, *more: Step, finish: str | None = "stop") -> Stream:
    """Streams `text` token by token, then takes the further steps."""
    return Stream((*(Say(token) for token in tokens(text)), *more), finish=finish)


def fails(status: int, message: str = "It failed.", *, retry_after: float | None = None, **error: object) -> Answer:
    """An error response in OpenAI's shape; `error` is merged into its object."""
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    return Answer(status, {"error": {"message": message, "code": status, **error}}, headers)


def breaks(text: str, code: int | str = 502, message: str = "Provider disconnected") -> Stream:
    """Some text, then an error chunk under status 200, as OpenRouter sends it."""
    error = {"error": {"code": code, "message": message}}
    last = {"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}]}
    return says(text, Send({**error, **last}), finish=None) if text else Stream((Send({**error, **last}),), finish=None)


def silent() -> Stream:
    """Headers, then nothing."""
    return Stream((Hold(),))


@dataclass(slots=True, eq=False)
class Received:
    """A request as it came. `said`: tokens sent so far; `gone` is set when the client hung up before the end."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    said: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def messages(self) -> list[dict[str, Any]]:
        return self.body.get("messages", [])

    @property
    def text(self) -> str:
        """Everything the prompt says, to look for what must, or must not, be in it."""
        parts = []
        for message in self.messages:
            content = message["content"]
            parts.append(content if isinstance(content, str) else "".join(part["text"] for part in content))
        return "\n".join(parts)


def echo(request: Received) -> str:
    """The reply where nothing is scripted: about the last message, the same for the same prompt."""
    last = request.messages[-1]["content"] if request.messages else ""
    words = (last if isinstance(last, str) else last[-1]["text"]).split()
    return f"I heard: {' '.join(words[:12])}."


class FakeOpenAI:
    """The server. `key`: the only one it takes; `models`: what it lists; `openrouter`: whose shape it has."""

    def __init__(
        self, *, key: str | None = None, models: Sequence[str] = ("fake-model",), openrouter: bool = False
    ) -> None:
        self.key = key
        self.models = list(models)
        self.openrouter = openrouter
        self.requests: list[Received] = []  # of chat completions
        self.others: list[Received] = []  # of lists and keys
        self.connections: set[tuple[str, int]] = set()  # by the client's end
        self.respond: Callable[[Received], str | Script] = echo
        self.port = 0
        self._next: deque[Script] = deque()
        self._came = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, port: int = 0) -> None:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post("/{base:.*}/chat/completions", self._chat)
        app.router.add_get("/{base:.*}/{what:models|key|generation}", self._other)
        # the handler is cancelled when the client hangs up, which is how `gone` is known
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Cuts what is open, and listens no more."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{'api/v1' if self.openrouter else 'v1'}"

    def next(self, *scripts: str | Script) -> None:
        """The next requests get these, in this order; then `respond` is asked again."""
        self._next.extend(says(script) if isinstance(script, str) else script for script in scripts)

    def _script(self, received: Received) -> str | Script:
        """What this request gets."""
        return self._next.popleft() if self._next else self.respond(received)

    async def arrived(self, count: int = 1) -> Received:
        """Waits until so many chat requests have come; the last of them."""
        while len(self.requests) < count:
            self._came.clear()
            await self._came.wait()
        return self.requests[count - 1]

    async def _other(self, request: web.Request) -> web.Response:
        self._note(request, {}, self.others)
        if not self._admitted(request):
            return _json(fails(401, "Invalid API key"))
        if request.match_info["what"] == "key":
            return web.json_response({"data": {"label": "fake", "limit_remaining": 10, "usage": 0}})
        data = [{"id": name, "object": "model", "created": CREATED, "owned_by": "fake"} for name in self.models]
        return web.json_response({"object": "list", "data": data})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        received = self._note(request, await request.json(), self.requests)
        try:
            if not self._admitted(request):
                return _json(fails(401, "Invalid API key"))
            script = self._script(received)
            if isinstance(script, str):
                script = says(script)
            if isinstance(script, NoAnswer):
                await (asyncio.Event().wait() if script.hang else asyncio.sleep(0))
                if request.transport is not None:
                    request.transport.abort()
                return web.Response()
            if isinstance(script, Answer):
                return _json(script)
            if not received.body.get("stream"):
                return web.json_response(self._whole(received, script))
            return await self._stream(request, received, script)
        except (asyncio.CancelledError, ConnectionError):
            received.gone.set()
            raise
        finally:
            received.done.set()

    def _note(self, request: web.Request, body: dict[str, Any], into: list[Received]) -> Received:
        received = Received(request.method, request.path, dict(request.headers), body)
        into.append(received)
        self._came.set()
        if request.transport is not None:
            self.connections.add(request.transport.get_extra_info("peername"))
        return received

    def _admitted(self, request: web.Request) -> bool:
        return self.key is None or request.headers.get("Authorization") == f"Bearer {self.key}"

    async def _stream(self, request: web.Request, received: Received, script: Stream) -> web.StreamResponse:
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache", **self._headers(received)}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        common = self._common(received)

        async def send(chunk: Mapping[str, Any]) -> None:
            await response.write(b"data: " + json.dumps({**common, **chunk}).encode() + b"\n\n")

        if self.openrouter:
            await response.write(b": OPENROUTER PROCESSING\n\n")
        await send(_choice({"role": "assistant", "content": "" if self.openrouter else None}))
        for step in script.steps:
            match step:
                case Say(text, name):
                    received.said += 1
                    await send(_choice({name: text}))
                case Pause(seconds):
                    await asyncio.sleep(seconds)
                case Hold(event):
                    await event.wait()
                case Raw(data):
                    await response.write(data)
                case Drip(data):
                    for byte in data:
                        await response.write(bytes([byte]))
                        await asyncio.sleep(0)
                case Send(body):
                    await send(body)
                case HangUp():
                    if request.transport is not None:
                        request.transport.abort()
                    return response
        if script.finish is not None:
            await send(_choice({}, script.finish))
        asked = self.openrouter or received.body.get("stream_options", {}).get("include_usage")
        if script.usage is not None and asked:
            await send({"choices": [], "usage": self._usage(received, script)})
        if script.done:
            await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response

    def _whole(self, received: Received, script: Stream) -> dict[str, Any]:
        text = "".join(step.text for step in script.steps if isinstance(step, Say) and step.field == "content")
        message = {"role": "assistant", "content": text}
        choice = {"finish_reason": script.finish, "index": 0, "message": message}
        whole = {"object": "chat.completion", "choices": [choice], "usage": self._usage(received, script)}
        return self._common(received) | whole

    def _headers(self, received: Received) -> Mapping[str, str]:
        """What a stream's head says beside the usual."""
        return {}

    def _common(self, received: Received) -> dict[str, Any]:
        common: dict[str, Any] = {
            "choices": [],
            "created": CREATED,
            "id": self._id(received),
            "model": received.body.get("model", ""),
            "system_fingerprint": "fake",
            "object": "chat.completion.chunk",
        }
        return common | {"provider": "Fake"} if self.openrouter else common

    def _id(self, received: Received) -> str:
        return f"chatcmpl-{self.requests.index(received) + 1}"

    def _usage(self, received: Received, script: Stream) -> dict[str, Any]:
        prompt = len(received.text.split())
        completion = sum(isinstance(step, Say) for step in script.steps)
        usage: dict[str, Any] = {
            "completion_tokens": completion,
            "prompt_tokens": prompt,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": 0},
        }
        if self.openrouter:
            usage |= {"cost": 0.000123, "completion_tokens_details": {"reasoning_tokens": 0}}
        return usage | dict(script.usage or {})


def _choice(delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"finish_reason": finish, "index": 0, "delta": dict(delta)}]}


def _json(answer: Answer) -> web.Response:
    body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
    return web.Response(
        status=answer.status, body=body, headers={**answer.headers, "Content-Type": answer.content_type}
    )
