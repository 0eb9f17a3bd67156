"""A reply in the making. It is followed by requests and does not run in one."""

import asyncio
from collections.abc import Callable

from server.chat.events import Accepted, Done, Event, Failed, TokenEvent
from server.errors import Conflict, VestigeError
from server.ids import Scope, message_id

LEFT = "The reply was stopped because nobody was listening any more. What came is kept."


class LiveTurn:
    """The tokens of one reply so far, and who follows them.

    Followers may come late and leave early. When the last one leaves before the end, `stop` is asked for: nobody reads
    on, so no more tokens are bought; what came is kept.
    """

    def __init__(self, scope: Scope, epoch: int, seq: int) -> None:
        self.scope = scope
        self.epoch = epoch
        self.seq = seq
        self.stopped: VestigeError | None = None
        self._pieces: list[str] = []
        self._end: Done | Failed | None = None
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()
        self._followers = 0
        self._on_stop: Callable[[], object] | None = None

    @property
    def reply_id(self) -> str:
        return message_id(self.epoch, self.seq)

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    @property
    def running(self) -> bool:
        return self._end is None

    def push(self, text: str) -> None:
        self._pieces.append(text)
        self._wake()

    def end(self, event: Done | Failed) -> None:
        """The last event; a second one is ignored."""
        if self._end is None:
            self._end = event
            self._wake()
            self._ended.set()

    def abandon(self) -> None:
        """Ends a turn whose task was cancelled: what is not stored yet stays pending, and can be made again."""
        self.end(Failed(self.stopped or Conflict("The reply was cancelled."), None, None))

    async def ended(self) -> None:
        """Returns once the turn has ended and is stored as far as it can be."""
        await self._ended.wait()

    def stop(self, reason: VestigeError) -> None:
        """Ends generation; `reason` is what followers are told. The first reason counts."""
        if self._end is None and self.stopped is None:
            self.stopped = reason
            if self._on_stop is not None:
                self._on_stop()

    def on_stop(self, act: Callable[[], object]) -> None:
        """`act` is called once when the turn is stopped, at once where that happened already."""
        self._on_stop = act
        if self.stopped is not None:
            act()

    def follow(self, accepted: Accepted) -> "Follower":
        self._followers += 1
        return Follower(self, accepted)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _left(self) -> None:
        self._followers -= 1
        if self._followers == 0:
            self.stop(Conflict(LEFT))


class Follower:
    """One reader of a turn: `Accepted`, the tokens, then `Done` or `Failed`.

    An async iterator; or `next` with a time-out. `leave` must be called by a reader that stops before the end.
    """

    def __init__(self, live: LiveTurn, accepted: Accepted) -> None:
        self._live = live
        self._accepted: Accepted | None = accepted
        self._at = 0
        self._over = False
        self.scope = live.scope

    @property
    def reply_id(self) -> str:
        return self._live.reply_id

    async def next(self, seconds: float | None = None) -> Event | None:
        """The next event; None after `seconds` without one, and after the last."""
        live = self._live
        while not self._over:
            if self._accepted is not None:
                event, self._accepted = self._accepted, None
                return event
            pieces = live._pieces
            if self._at < len(pieces):
                text = "".join(pieces[self._at :])
                self._at = len(pieces)
                return TokenEvent(text)
            if live._end is not None:
                self.leave()
                return live._end
            changed = live._changed
            try:
                async with asyncio.timeout(seconds):
                    await changed.wait()
            except TimeoutError:
                return None
        return None

    def leave(self) -> None:
        """Stops following. Does nothing the second time."""
        if not self._over:
            self._over = True
            self._live._left()

    def __aiter__(self) -> "Follower":
        return self

    async def __anext__(self) -> Event:
        event = await self.next()
        if event is None:
            raise StopAsyncIteration
        return event
