"""A data folder, the server that runs on it now, a scripted model, and conversations that outlive servers."""

import itertools
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.fakes.openai_server import FakeOpenAI
from tests.system.instance import Instance, start
from tests.system.promises import Conversation

WINDOW = 4


class World:
    """`async with World(folder) as world`: a server runs; `again` starts another one on the same folder."""

    def __init__(self, data: Path, **settings: Any) -> None:
        self.data = data
        self.fake = FakeOpenAI()
        self.conversations: list[Conversation] = []
        self._settings: dict[str, Any] = {"window_messages": WINDOW, **settings}
        self._names = itertools.count()
        self._server: Instance | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self.fake.start()
        await self.again()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        await self.fake.stop()

    @property
    def server(self) -> Instance:
        assert self._server is not None
        return self._server

    async def again(self) -> Instance:
        """Starts a server on the folder, whose last one has ended."""
        await self._stack.aclose()
        self._server = await self._stack.enter_async_context(start(self.data, self.fake.base_url, **self._settings))
        return self._server

    async def conversation(self, turns: int = 0) -> Conversation:
        """A new one, with a character of its own and so many turns done."""
        name = f"voice-{next(self._names)}"
        made = Conversation(name, await self.server.character(name=name))
        self.conversations.append(made)
        for _ in range(turns):
            assert (await made.turn(self.server)).reply is not None
        return made

    async def keeps_its_promises(self, *talks: Conversation) -> None:
        """Checks these conversations, or all, before and after what was cut off is sent again."""
        for one in talks or self.conversations:
            await one.kept(self.server)
            await one.completed(self.server)
