"""Replies in the making: begun, followed, stopped, and brought to an end when the server ends."""

import asyncio
from collections.abc import Iterable

from server.chat.events import Accepted
from server.chat.generation import Generator, Job
from server.chat.lines import Lines
from server.chat.live import Follower, LiveTurn
from server.errors import ShuttingDown, VestigeError
from server.ids import Scope

STOP_SECONDS = 5.0
"""How long replies that were stopped may take to be stored."""

STOPPING = "The server is shutting down. Your message is kept; ask for the reply again in a moment."


class InFlight:
    """Runs each job in a task of its own; within one conversation one after the other."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._lines = Lines()
        self._lives: dict[Scope, list[LiveTurn]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    def refuse_when_closing(self) -> None:
        """Raises:
        ShuttingDown: nothing new is begun any more.
        """
        if self._closing:
            raise ShuttingDown("The server is shutting down: try again in a moment.")

    def start(self, job: Job, accepted: Accepted) -> Follower:
        """Begins a reply and follows it.

        Raises:
            ShuttingDown: nothing new is begun any more.
        """
        self.refuse_when_closing()
        live = job.live
        follower = live.follow(accepted)
        self._lives.setdefault(live.scope, []).append(live)
        task = asyncio.create_task(self._run(job), name=f"turn {live.reply_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return follower

    def of(self, scope: Scope) -> list[LiveTurn]:
        """The replies of a conversation that are being made or wait to be, in order."""
        return list(self._lives.get(scope, ()))

    def of_person(self, tenant: str, user: str) -> list[LiveTurn]:
        """The same of all conversations of a person."""
        owner = f"{tenant}/{user}"
        return [live for scope, lives in self._lives.items() if scope.owner == owner for live in lives]

    def writing(self, scope: Scope, message_id: str) -> list[LiveTurn]:
        """Those that write this message."""
        return [live for live in self.of(scope) if live.reply_id == message_id]

    async def stop(self, lives: Iterable[LiveTurn], reason: VestigeError) -> None:
        """Stops replies and waits until what came of them is stored, as far as that goes."""
        stopping = list(lives)
        for live in stopping:
            live.stop(reason)
        if stopping:
            ends = [asyncio.ensure_future(live.ended()) for live in stopping]
            _, late = await asyncio.wait(ends, timeout=STOP_SECONDS)
            for end in late:
                end.cancel()

    async def drain(self, seconds: float) -> None:
        """Begins nothing new, lets replies end for a while, then stops them; returns when nothing runs any more."""
        self._closing = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        await self.stop([live for lives in self._lives.values() for live in lives], ShuttingDown(STOPPING))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, job: Job) -> None:
        scope, live = job.live.scope, job.live
        try:
            async with self._lines.turn(scope):
                await self._generator.run(job)
        finally:
            live.abandon()
            self._lives[scope].remove(live)
            if not self._lives[scope]:
                del self._lives[scope]
