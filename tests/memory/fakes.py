"""A scripted model for summaries and facts, and stores that fail where a test says."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from server.routing.types import Finished, ModelInfo, ModelRequest, Token

Answer = str | Exception | Callable[[ModelRequest], Awaitable[str]]


def window_answer(summary: str = "They talked.", *facts: str) -> str:
    """What a good model answers about a window."""
    return json.dumps({"summary": summary, "facts": list(facts)})


class Scribe:
    """Answers by kind of question; remembers what it was asked. `writes_memory` as a real model's info has it."""

    def __init__(
        self, window: Answer | None = None, rolling: Answer = "The whole picture.", *, writes_memory: bool = True
    ) -> None:
        self.window = window_answer() if window is None else window
        self.rolling = rolling
        self.asked: list[ModelRequest] = []
        self.info = ModelInfo("scribe", "tests", bundled=not writes_memory, writes_memory=writes_memory)

    def about(self, kind: str) -> list[str]:
        """The data of all questions of a kind: "window" or "rolling"."""
        return [request.messages[-1].content for request in self.asked if _kind(request) == kind]

    async def complete(self, request: ModelRequest) -> tuple[str, Finished]:
        self.asked.append(request)
        answer = self.window if _kind(request) == "window" else self.rolling
        if isinstance(answer, Exception):
            raise answer
        text = answer if isinstance(answer, str) else await answer(request)
        return text, Finished("scribe", "stop", None)

    async def check(self) -> None:
        return None

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Token | Finished, None]:
        text, finished = await self.complete(request)
        yield Token(text)
        yield finished


def _kind(request: ModelRequest) -> str:
    return "window" if "one JSON object" in request.messages[0].content else "rolling"


class Gate:
    """An answer that waits until the test lets it go."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.reached = asyncio.Event()
        self.open = asyncio.Event()
        self.cancelled = False

    async def __call__(self, request: ModelRequest) -> str:
        self.reached.set()
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return self.text


class Faulty:
    """A store that does something before or after one of its methods."""

    def __init__(self, inner: Any, method: str, then: Callable[[], Awaitable[None]], *, after: bool = False) -> None:
        self._inner = inner
        self._method = method
        self._then = then
        self._after = after

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._inner, name)
        if name != self._method:
            return real

        async def call(*args: Any, **kwargs: Any) -> Any:
            if not self._after:
                await self._then()
            result = await real(*args, **kwargs)
            if self._after:
                await self._then()
            return result

        return call
