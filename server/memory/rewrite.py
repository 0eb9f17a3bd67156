"""Changing what was said: the same way in the tail and in closed windows.

A closed window's record never changes. A rewrite writes a new record and swaps it into the list by compare-and-set;
what was derived from the old text goes with the old record, and is derived again from the new one.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import structlog

from server.errors import Conflict, NotFound, StoreUnavailable
from server.ids import Scope, new_id, parse_message_id
from server.memory.codec import decode_message, encode_message, is_slug
from server.memory.hot import HotBuffer
from server.memory.keys import GARBAGE, Keys
from server.memory.log import ConversationLog, InTail, InWindow, WindowRef
from server.memory.messages import Message
from server.memory.records import WindowRecord, window_to_record
from server.memory.shared import Shared
from server.memory.windows import WindowStore

_log = structlog.get_logger(__name__)

_RACES = 20
UNKNOWN = "There is no message with this id."
BUSY = "This conversation is changing too fast: try again."


class Rewriter:
    """Edits, deletions and forgetting. `on_change` is told of a conversation whose closed windows have changed."""

    def __init__(
        self,
        shared: Shared,
        log: ConversationLog,
        windows: WindowStore,
        hot: HotBuffer,
        on_change: Callable[[Scope], None],
    ) -> None:
        self._scripts = shared.scripts
        self._shared = shared
        self._log = log
        self._windows = windows
        self._hot = hot
        self._on_change = on_change

    async def read(self, scope: Scope, epoch: int, seq: int) -> Message | None:
        """The message with this place, wherever it is kept."""
        for _ in range(_RACES):
            match await self._log.locate(scope, epoch, seq):
                case InTail(raw):
                    return decode_message(raw, epoch, seq)
                case InWindow(window=ref):
                    window = (await self._windows.load(scope, [ref.id])).get(ref.id)
                    if window is not None:  # else it was rewritten in between
                        return next((message for message in window.messages if message.seq == seq), None)
                case None:
                    return None
        raise Conflict(BUSY)

    async def change(self, scope: Scope, epoch: int, seq: int, change: Callable[[Message], Message]) -> Message | None:
        """Replaces a message by what `change` makes of it; None where there is none. `change` may run several times."""
        for _ in range(_RACES):
            place = await self._log.locate(scope, epoch, seq)
            match place:
                case InTail(raw):
                    message = decode_message(raw, epoch, seq)
                    changed = change(message)
                    if changed == message or await self._log.put(scope, epoch, seq, raw, encode_message(changed)):
                        return changed
                case InWindow():
                    found: list[Message] = []

                    def each(messages: tuple[Message, ...], found: list[Message] = found) -> tuple[Message, ...]:
                        found[:] = [change(message) for message in messages if message.seq == seq]
                        return tuple(found[0] if message.seq == seq else message for message in messages)

                    if await self._rewrite(scope, epoch, place, each, corrections=False):
                        return found[0] if found else None
                case None:
                    return None
        raise Conflict(BUSY)

    async def delete_from(self, scope: Scope, id: str) -> int:
        """Deletes a message and all after it; how many those were.

        Raises:
            NotFound: there is no such message.
        """
        epoch, seq = parse_message_id(id)
        for _ in range(_RACES):
            match await self._log.locate(scope, epoch, seq):
                case InTail():
                    dropped = await self._log.drop_from(scope, epoch, seq)
                    if dropped is not None:  # else it has just been moved into a window
                        return dropped
                case InWindow() as place:
                    window = (await self._windows.load(scope, [place.window.id])).get(place.window.id)
                    if window is None:
                        continue
                    if all(message.seq != seq for message in window.messages):
                        raise NotFound(UNKNOWN, field="message_id")
                    kept = [message for message in window.messages if message.seq < seq]
                    done = await self._log.cut(scope, epoch, place, kept, [encode_message(each) for each in kept])
                    if done is not None:
                        deleted, records = done
                        await self._changed(scope, records)
                        return deleted
                case None:
                    raise NotFound(UNKNOWN, field="message_id")
        raise Conflict(BUSY)

    async def forget(self, scope: Scope, epoch: int, seqs: Sequence[int]) -> int:
        """Takes messages out as if they had never been said, with all that was derived from them; how many there were.

        Raises:
            StoreUnavailable: some of it may be left; the same call again finishes it.
        """
        await self._hot.drop(scope)
        await self._log.forget_keys(scope, epoch, seqs)
        gone = frozenset(seqs)
        forgotten = 0
        races = 0
        for seq in sorted(gone):
            while races < _RACES:
                place = await self._log.locate(scope, epoch, seq)
                if place is None:
                    break
                if isinstance(place, InTail):
                    forgotten += await self._log.drop(scope, epoch, [seq])
                    continue
                before: list[int] = []

                def without(messages: tuple[Message, ...], before: list[int] = before) -> tuple[Message, ...]:
                    before[:] = [len(messages)]
                    return tuple(message for message in messages if message.seq not in gone)

                left = await self._rewrite(scope, epoch, place, without, corrections=True)
                if left is not None:
                    forgotten += before[0] - len(left.messages)
                    break
                races += 1
            else:
                raise Conflict(BUSY)
        await self._hot.drop(scope)  # a reader may have filled it again meanwhile
        return forgotten

    async def set_facts(self, scope: Scope, window_id: str, facts: tuple[str, ...]) -> tuple[int, WindowRecord]:
        """Replaces a window's facts by a person's; its index and what it is now.

        Raises:
            NotFound: no live window has this id.
        """
        for _ in range(_RACES):
            window = (await self._windows.load(scope, [window_id])).get(window_id) if is_slug(window_id) else None
            place = await self._log.locate(scope, window.epoch, window.messages[0].seq) if window else None
            if window is None or not isinstance(place, InWindow) or place.window.id != window_id:
                break
            head = await self._log.head(scope, tail=False)
            vectors = await self._windows.embed_facts(facts, head.names if head else None)
            new = replace(window, id=new_id("win"), facts=facts, fact_vectors=vectors, derived=True)
            if await self._swap(scope, place, new, derive=False, summary="keep"):
                return place.index, new
        raise NotFound("There is no window with this id.", field="window_id")

    async def _rewrite(
        self,
        scope: Scope,
        epoch: int,
        place: InWindow,
        change: Callable[[tuple[Message, ...]], tuple[Message, ...]],
        *,
        corrections: bool,
    ) -> WindowRecord | None:
        """Swaps a window for what `change` makes of it: the new one, or None where it has changed meanwhile.

        Derived text goes if what was said differs. `corrections`: what a person wrote of the summary goes too.
        """
        window = (await self._windows.load(scope, [place.window.id])).get(place.window.id)
        if window is None:
            return None
        messages = change(window.messages)
        if messages == window.messages:
            return window
        old = {message.seq: (message.text, row) for row, message in enumerate(window.messages)}
        anew = [row for row, message in enumerate(messages) if old[message.seq][0] != message.text]
        same = not anew and len(messages) == len(window.messages)
        vectors = (
            np.stack([window.vectors[old[message.seq][1]] for message in messages]) if messages else window.vectors
        )
        if anew:
            head = await self._log.head(scope, tail=False)
            vectors[anew] = await self._windows.embed([messages[row] for row in anew], head.names if head else None)
        new = WindowRecord(new_id("win"), epoch, messages, vectors)
        if same:
            new = replace(window, id=new.id, messages=messages)
        summary = "keep" if same else ("drop all" if corrections else "drop")
        return new if await self._swap(scope, place, new, derive=not new.derived, summary=summary) else None

    async def _swap(self, scope: Scope, place: InWindow, new: WindowRecord, *, derive: bool, summary: str) -> bool:
        if new.messages:
            await self._windows.write(scope, window_to_record(scope, new))
        keys = Keys.of(scope)
        done = await self._scripts.run(
            "swap",
            (keys.meta, keys.windows, GARBAGE, keys.todo, keys.attempts),
            str(scope),
            new.epoch,
            place.index,
            place.window.raw,
            place.window.id,
            WindowRef.of(new.id, new.messages).raw if new.messages else "",
            new.id,
            self._shared.now,
            "1" if derive else "",
            summary,
        )
        if done == 1:
            await self._changed(scope, [place.window.id])
        elif new.messages:
            await self._windows.delete(scope, [new.id])
        return done == 1

    async def _changed(self, scope: Scope, dead: Sequence[str]) -> None:
        """The change stands. What is left of the old text goes now if it can, and by the sweeper if not."""
        self._on_change(scope)
        try:
            await self._hot.drop(scope)
            await self._windows.delete(scope, dead)
        except StoreUnavailable as error:
            _log.warning("old_text_left_to_sweeper", reason=error.message)
