"""Reading a conversation as it was said: the newest that fits a prompt, pages of history, all of it."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import TypeVar

import structlog

from server.ids import Scope
from server.memory.hot import HotBuffer
from server.memory.log import ConversationLog, Head
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
            head = await self._log.head(scope, newest=self._hot.windows)
            taken: list[Message] = []
            if head is None:
                return taken
            left = _take(taken, head.tail, max_tokens, before_seq)
            windows = await self._newest(scope, head, strict) if left >= 0 else []
            while windows and left >= 0:
                left = _take(taken, windows.pop(), left, before_seq)
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
            for messages in reversed(await self._said(scope, head, [ref.id for ref in refs], {}, strict)):
                for message in reversed(messages):
                    if message.seq < end:
                        yield message
            start, stop = max(0, start - _PAGE), start
            refs = await self._log.windows(scope, start, stop)

    async def _newest(self, scope: Scope, head: Head, strict: bool) -> list[tuple[Message, ...]]:
        """The windows of `head.newest`, oldest first; fills the hot buffer when it lacks one of them."""
        ids = [ref.id for ref in head.newest]
        if all(self._windows.decoded(id) is not None for id in ids):
            return await self._said(scope, head, ids, {}, strict)
        raws = await self._hot.read(scope)
        missing = [id for id in ids if id not in raws]
        if missing:
            raws |= await self._windows.texts(scope, missing)
            await self._hot.replace(scope, {id: raws[id] for id in ids if id in raws})
        return await self._said(scope, head, ids, raws, strict)

    async def _said(
        self, scope: Scope, head: Head, ids: Sequence[str], raws: Mapping[str, str], strict: bool
    ) -> list[tuple[Message, ...]]:
        """What windows say, from this process, from `raws` or from Chroma."""
        missing = [id for id in ids if id not in raws and self._windows.decoded(id) is None]
        raws = {**raws, **await self._windows.texts(scope, missing)} if missing else raws
        found: list[tuple[Message, ...]] = []
        for id in ids:
            messages = self._windows.decoded(id)
            if messages is None and id in raws:
                messages = self._windows.decode(id, raws[id], head.epoch)
            if messages is not None:
                found.append(messages)
            elif strict:
                raise _Moved
            else:  # live in Redis, missing in Chroma: say so, and show the rest
                _log.error("window_record_missing", window=id)
        return found


def _take(taken: list[Message], messages: Sequence[Message], tokens: int, before_seq: int | None) -> int:
    """Adds messages from the last on to `taken` while they fit; the tokens left, negative when one did not fit."""
    for message in reversed(messages):
        if before_seq is not None and message.seq >= before_seq:
            continue
        if message.status is Status.PENDING or not message.text.strip():
            continue
        tokens -= estimate_tokens(message.text)
        if tokens < 0:
            break
        taken.append(message)
    return tokens


async def _retried(attempt: Callable[[bool], Awaitable[T]]) -> T:
    for _ in range(_ATTEMPTS):
        try:
            return await attempt(True)
        except _Moved:
            continue
    return await attempt(False)
