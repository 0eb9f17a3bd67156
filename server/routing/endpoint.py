"""A language model behind an OpenAI-compatible HTTP API: `POST {base}/chat/completions`, streamed.

One call is one attempt: nothing is tried again but a request with a field that the server turns out not to know. Every
failure is a `ModelError` whose sentence says which setting to look at.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager

import aiohttp

from server.errors import ModelError, ModelMisconfigured, ModelUnavailable
from server.routing.calls import Call
from server.routing.clock import Clock
from server.routing.exchange import MAX_BODY, Exchange
from server.routing.failures import Target, Unreachable, failure, read_report, refused_field
from server.routing.options import UNNAMED, Options
from server.routing.reply import Reply, TooMuchText
from server.routing.types import Finished, ModelInfo, ModelRequest, Token
from server.routing.wire import Dialect, read_cost, request_body, without

CHECK_SECONDS = 5.0
GOOD_FOR_SECONDS = 15.0
LIST_SECONDS = 20.0
MAX_LIST = 32 << 20  # bytes; OpenRouter's list of hundreds of models has about one million
_NO_CHAT = ("embed", "rerank", "whisper", "tts-")  # what a list of models also holds


class ChatEndpoint:
    """One server with one chat model, and perhaps another for summaries. It does not own the session.

    Raises:
        SettingsError: the key cannot be one.
    """

    def __init__(self, session: aiohttp.ClientSession, options: Options) -> None:
        self._options = options
        self._exchange = Exchange(session, options)
        self._names_generations = options.dialect is Dialect.OPENROUTER
        self._listed: str | None = None
        self._listing = asyncio.Lock()
        self._unknown_fields: list[str] = []
        self._good_until = 0.0

    def __repr__(self) -> str:
        return f"ChatEndpoint({self._options.host}, {self.info.name})"

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(
            name=self._options.model or self._listed or UNNAMED,
            provider=self._options.host,
            bundled=self._options.bundled,
            writes_memory=not self._options.bundled,
            context_tokens=self._options.context_tokens,
            banner=self._options.banner,
        )

    async def complete(self, request: ModelRequest) -> tuple[str, Finished]:
        return await collect(self.stream(request))

    async def stream(self, request: ModelRequest, call: Call | None = None) -> AsyncGenerator[Token | Finished, None]:
        """As `LanguageModel` says; `call` is filled in meanwhile."""
        options = self._options
        call = call or Call(Clock(options.silence_seconds, options.total_seconds))
        clock = call.clock
        model = call.model or self.info.name
        try:
            call.model = model = call.model or await self._model_for(request)
            target = options.target(model)
            # left on every way out, the consumer's `aclose` too: the connection closes and the server stops
            async with (
                self._accepted(request, target, call) as response,
                aclosing(self._exchange.chunks(response, request.max_tokens, target, clock)) as chunks,
            ):
                reply = Reply(request.max_tokens)
                async for chunk in chunks:
                    if chunk.usage is not None:
                        call.usage = chunk.usage
                    if self._names_generations and call.generation is None:
                        call.identified(chunk.id)
                    if chunk.error is not None:
                        report = read_report({"error": chunk.error})
                        raise _in_stream(failure(target, report.code or 502, report, {}, request.messages))
                    if text := reply.take(chunk):
                        call.token()
                        yield Token(text)
            call.answered_by = reply.model
            finished = reply.finish(model)
            self._good_until = clock.now() + GOOD_FOR_SECONDS
            yield finished
        except TooMuchText:
            error = ModelUnavailable(f"{options.target(model)} ignores max_tokens: the reply does not end.")
            raise call.failed(error) from None
        except ModelError as error:
            call.sent = call.sent and not isinstance(error, Unreachable)
            raise call.failed(error) from error.__cause__

    async def check(self) -> None:
        clock = Clock(CHECK_SECONDS, CHECK_SECONDS)
        if clock.now() < self._good_until:
            return
        # OpenRouter's list is public and large; a look at the key is neither
        path = "key" if self._options.dialect is Dialect.OPENROUTER else "models"
        target = self._options.target()
        async with self._exchange.open("GET", path, None, target, clock) as response:
            if response.status not in (200, 404, 405):  # not every server has a list
                report = await self._exchange.report(response, target, clock)
                raise failure(target, response.status, report, response.headers, ())
        self._good_until = clock.now() + GOOD_FOR_SECONDS

    async def models(self) -> object:
        """The JSON of the server's `/models`.

        Raises:
            ModelError: there is none.
        """
        target, clock = self._options.target(), Clock(LIST_SECONDS, LIST_SECONDS)
        async with self._exchange.open("GET", "models", None, target, clock) as response:
            if response.status != 200:
                report = await self._exchange.report(response, target, clock)
                raise failure(target, response.status, report, response.headers, ())
            return await self._exchange.json(response, target, clock, MAX_LIST)

    async def generation_cost(self, generation: str) -> int | None:
        """What a generation cost in micro-dollars, as OpenRouter's `/generation` says; None while it does not know.

        Raises:
            ModelError: it does not answer.
        """
        target, clock = self._options.target(), Clock(CHECK_SECONDS, CHECK_SECONDS)
        query = {"id": generation}
        async with self._exchange.open("GET", "generation", None, target, clock, query) as response:
            if response.status == 404:
                return None
            if response.status != 200:
                report = await self._exchange.report(response, target, clock)
                raise failure(target, response.status, report, response.headers, ())
            body = await self._exchange.json(response, target, clock, MAX_BODY)
        data = body.get("data") if isinstance(body, Mapping) else None
        if not isinstance(data, Mapping):
            return None
        theirs = {"upstream_inference_cost": data.get("upstream_inference_cost")}
        return read_cost({"cost": data.get("total_cost"), "is_byok": data.get("is_byok"), "cost_details": theirs})

    async def find_model(self, seconds: float = CHECK_SECONDS) -> str:
        """The chat model's id: as set, or the first one the server lists, asked once.

        Raises:
            ModelError: there is no list, or nothing in it.
        """
        if self._options.model is not None:
            return self._options.model
        async with self._listing:
            if self._listed is None:
                self._listed = await self._first_listed(Clock(seconds, seconds))
            return self._listed

    async def _first_listed(self, clock: Clock) -> str:
        target = self._options.target()
        async with self._exchange.open("GET", "models", None, target, clock) as response:
            if response.status in (401, 403, 429) or response.status >= 500:
                report = await self._exchange.report(response, target, clock)
                raise failure(target, response.status, report, response.headers, ())
            body = await self._exchange.json(response, target, clock, MAX_BODY) if response.status == 200 else None
        entries = body.get("data") if isinstance(body, Mapping) else None
        ids = [entry.get("id") for entry in entries if isinstance(entry, Mapping)] if isinstance(entries, list) else []
        for name in ids:
            if isinstance(name, str) and name and not any(part in name.lower() for part in _NO_CHAT):
                return name
        raise ModelMisconfigured(
            f"{target} lists no chat model: load one there, or set {self._options.model_name}.", listed=len(ids)
        )

    async def _model_for(self, request: ModelRequest) -> str:
        if request.purpose == "summary" and self._options.summary_model is not None:
            return self._options.summary_model
        return await self.find_model()

    @asynccontextmanager
    async def _accepted(
        self, request: ModelRequest, target: Target, call: Call
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The response to a chat request, once its status is good."""
        body = request_body(request, target.model, self._options.dialect, call.preferences)
        for field in self._unknown_fields:
            body = without(body, field)
        while True:
            call.sent = True
            async with self._exchange.open("POST", "chat/completions", body, target, call.clock) as response:
                if self._names_generations:
                    call.identified(response.headers.get("X-Generation-Id"))
                if response.status == 200:
                    yield response
                    return
                call.sent = call.generation is not None  # what is refused is not billed
                report = await self._exchange.report(response, target, call.clock)
            field = refused_field(report, body) if response.status in (400, 422) else None
            if field is None:
                if response.status == 404:
                    self._listed = None  # another one may be loaded by now
                raise failure(target, response.status, report, response.headers, request.messages)
            body = without(body, field)
            self._unknown_fields.append(field)


def _in_stream(error: ModelError) -> ModelError:
    return type(error)(error.message, **error.details, in_stream=True)


async def collect(events: AsyncGenerator[Token | Finished, None]) -> tuple[str, Finished]:
    """The whole text of a stream, and its last event.

    Raises:
        ModelError: as the stream does.
    """
    parts: list[str] = []
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Finished):
                return "".join(parts), event
            parts.append(event.text)
    raise ModelError("The model's stream ended without its last event.")
