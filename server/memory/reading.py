"""Reading a conversation as it was said: the newest that fits a prompt, pages of history, all of it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import TypeVar

import structlog

from server.ids import Scope
from server.memory.codec import decode_messages
from server.memory.hot import HotBuffer
from server.memory.log import ConversationLog, Head, WindowRef
from server.memory.messages import Message, Status
from server.memory.tokens import estimate_tokens
from server.memory.views import Page
from server.memory.windows import WindowStore

T = TypeVar("T")

_log = structlog.get_logger(__name__)

_ATTEMPTS = 3
_PAGE = 16  # windows read at once, walking back


class _Moved(Exception):
    """A window was rewritten between its id being read and its record."""


class Reader:
    """Reads messages from the tail, then the hot buffer, then closed windows."""

    def __init__(self, log: ConversationLog, windows: WindowStore, hot: HotBuffer) -> None:
        self._log = log
        self._windows = windows
        self._hot = hot

    async def recent(self, scope: Scope, max_tokens: int, before_seq: int | None) -> list[Message]:
        """The newest messages that fit, oldest first: of the tail and the windows that the buffer holds."""

        async def attempt(strict: bool) -> list[Message]:
            head, hot = await asyncio.gather(self._log.head(scope, newest=self._hot.windows), self._hot.read(scope))
            taken: list[Message] = []
            if head is None:
                return taken
            left = max_tokens
            async with aclosing(self._back(scope, head, head.newest, hot, strict)) as messages:
                async for message in messages:
                    if before_seq is not None and message.seq >= before_seq:
                        continue
                    if message.status is Status.PENDING or not message.text.strip():
                        continue
                    left -= estimate_tokens(message.text)
                    if left < 0:
                        break
                    taken.append(message)
            return taken[::-1]

        return await _retried(attempt)

    async def history(self, scope: Scope, before: int | None, limit: int) -> Page:
        """The `limit` messages before a place, or the newest ones, oldest first."""

        async def attempt(strict: bool) -> Page:
            head = await self._log.head(scope)
            taken: list[Message] = []
            if head is None:
                return Page((), False, 0)
            async with aclosing(self._all_back(scope, head, before, strict)) as messages:
                async for message in messages:
                    taken.append(message)
                    if len(taken) > limit:
                        break
            return Page(tuple(taken[:limit][::-1]), len(taken) > limit, head.epoch)

        return await _retried(attempt)

    async def everything(self, scope: Scope) -> list[Message]:
        """All messages, oldest first."""

        async def attempt(strict: bool) -> list[Message]:
            head = await self._log.head(scope)
            if head is None:
                return []
            return [message async for message in self._all_back(scope, head, None, strict)][::-1]

        return await _retried(attempt)

    async def _all_back(
        self, scope: Scope, head: Head, before: int | None, strict: bool
    ) -> AsyncGenerator[Message, None]:
        """Every message before a place, newest first."""
        end = head.next_seq if before is None else before
        for message in reversed(head.tail):
            if message.seq < end:
                yield message
        if not head.windows:
            return
        # a window that has closed since `head` was read holds what was in its tail, which is yielded already
        end = min(end, next(iter(head.raw), end))
        start, refs = await self._log.windows_before(scope, head.epoch, end, _PAGE)
        while refs:
            async for message in self._of(scope, head, refs, {}, strict):
                if message.seq < end:
                    yield message
            start, stop = max(0, start - _PAGE), start
            refs = await self._log.windows(scope, start, stop)

    async def _back(
        self, scope: Scope, head: Head, refs: Sequence[WindowRef], hot: dict[str, str], strict: bool
    ) -> AsyncGenerator[Message, None]:
        """The tail and the windows given, newest first; fills the hot buffer when it lacks one of them."""
        for message in reversed(head.tail):
            yield message
        if all(ref.id in hot for ref in refs):
            missing: dict[str, str] = {}
        else:
            missing = await self._windows.texts(scope, [ref.id for ref in refs if ref.id not in hot])
            known = {**hot, **missing}
            await self._hot.replace(scope, {ref.id: known[ref.id] for ref in refs if ref.id in known})
        async for message in self._of(scope, head, refs, {**hot, **missing}, strict):
            yield message

    async def _of(
        self, scope: Scope, head: Head, refs: Sequence[WindowRef], raws: dict[str, str], strict: bool
    ) -> AsyncGenerator[Message, None]:
        """The messages of windows, newest first; decoded one window at a time."""
        missing = [ref.id for ref in refs if ref.id not in raws]
        raws = {**raws, **await self._windows.texts(scope, missing)}
        for ref in reversed(refs):
            if ref.id in raws:
                for message in reversed(decode_messages(raws[ref.id], head.epoch)):
                    yield message
            elif strict:
                raise _Moved
            else:  # live in Redis, missing in Chroma: say so, and show the rest
                _log.error("window_record_missing", window=ref.id)


async def _retried(attempt: Callable[[bool], Awaitable[T]]) -> T:
    for _ in range(_ATTEMPTS):
        try:
            return await attempt(True)
        except _Moved:
            continue
    return await attempt(False)
