"""A conversation as the state store keeps it: the truth of what was said and of which windows live."""

import asyncio
import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from server.errors import Conflict, IdempotencyMismatch, NotFound
from server.ids import Scope
from server.memory.codec import compact, decode_message, mended
from server.memory.keys import GARBAGE, SCOPES, Keys
from server.memory.messages import Message
from server.memory.shared import Shared
from server.memory.views import Idempotency, Speakers
from server.stores.errors import store_errors

MISMATCH = "This Idempotency-Key was used for another message: use a new key."
GONE = "This turn was deleted meanwhile: send it again with a new Idempotency-Key if it should be said again."


@dataclass(frozen=True, slots=True)
class WindowRef:
    """A live window as the list has it: its record and the messages it holds. `raw` is for compare-and-set."""

    id: str
    first: int
    last: int
    n: int
    raw: str = field(compare=False)

    @classmethod
    def read(cls, raw: str) -> "WindowRef":
        data = json.loads(raw)
        return cls(data["id"], data["first"], data["last"], data["n"], raw)

    @classmethod
    def of(cls, id: str, messages: Sequence[Message]) -> "WindowRef":
        first, last, n = messages[0].seq, messages[-1].seq, len(messages)
        return cls(id, first, last, n, compact({"id": id, "first": first, "last": last, "n": n}))


@dataclass(frozen=True)
class Head:
    """A conversation at one moment. `windows` and `derived` are lengths of lists; `newest` its last windows.

    `tier` is that of the person's last message, "" where none was given: what is derived is paid for by it.
    `rev` changes whenever something that a closed window holds does, other than by a window being added.
    """

    epoch: int
    rev: int
    next_seq: int
    windows: int
    derived: int
    summary: str | None
    summary_windows: int
    correction: str | None
    names: Speakers | None
    tier: str
    raw: dict[int, str]
    newest: tuple[WindowRef, ...]

    @cached_property
    def tail(self) -> tuple[Message, ...]:
        """The messages that no window holds yet, oldest first."""
        return tuple(decode_message(raw, self.epoch, seq) for seq, raw in self.raw.items())


@dataclass(frozen=True, slots=True)
class InTail:
    raw: str


@dataclass(frozen=True, slots=True)
class InWindow:
    index: int
    window: WindowRef


def digest(raw: str) -> str:
    """What the scripts compare a stored value by (Redis' Lua has SHA-1 and no other; it guards no secret)."""
    return hashlib.sha1(raw.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Appended:
    """`seq`: the first message's place; `greeted`: the greeting stands right before it.

    `stored`: of a replayed turn, what the tail still has of message and reply.
    """

    epoch: int
    seq: int
    greeted: bool = False
    stored: tuple[str | None, str | None] | None = None


@dataclass(frozen=True, slots=True)
class Cleared:
    """`epoch`: the next one, 0 where nothing is left. `records`: what is to be deleted from Chroma."""

    epoch: int
    messages: int
    records: tuple[str, ...]


class _Asked:
    """A question for a `Head` that is about to be sent."""

    answer: "asyncio.Task[Head | None]"
    newest: int = 0
    tail: bool = False


def first_epoch() -> int:
    """The epoch a conversation begins with. Random: one that is deleted and begun again must not repeat an old id."""
    return secrets.randbelow(2**31) + 1


class ConversationLog:
    """Reads and atomic steps on the state store. Every step names the epoch it belongs to."""

    def __init__(self, shared: Shared) -> None:
        self._client = shared.state
        self._scripts = shared.scripts
        self._idempotency_seconds = shared.options.idempotency_seconds
        self._asked: dict[Scope, _Asked] = {}

    async def head(self, scope: Scope, *, newest: int = 0, tail: bool = True) -> Head | None:
        """The conversation now, with (at least) its `newest` windows; None where there is none.

        Those who ask at the same moment, as the reads of a turn do, share one answer that is asked for after them all.
        """
        asked = self._asked.get(scope)
        if asked is None:
            asked = self._asked[scope] = _Asked()
            asked.answer = asyncio.create_task(self._ask(scope, asked))
            asked.answer.add_done_callback(lambda task: task.cancelled() or task.exception())
        asked.newest = max(asked.newest, newest)
        asked.tail |= tail
        return await asyncio.shield(asked.answer)

    async def _ask(self, scope: Scope, asked: "_Asked") -> Head | None:
        del self._asked[scope]  # whoever asks from here on asks anew
        keys = Keys.of(scope)
        found = await self._scripts.run(
            "head", (keys.meta, keys.tail, keys.windows, keys.derived), asked.newest, "1" if asked.tail else ""
        )
        if found is None:
            return None
        flat: list[str] = found[10]
        raw = {int(flat[at]): flat[at + 1] for at in range(0, len(flat), 2)}
        return Head(
            epoch=int(found[0]),
            rev=int(found[1]),
            next_seq=int(found[2]),
            windows=found[3],
            derived=found[4],
            summary=found[5] or None,
            summary_windows=int(found[6]),
            correction=found[7] or None,
            names=Speakers(*json.loads(found[8])) if found[8] else None,
            tier=found[9],
            raw=dict(sorted(raw.items())),
            newest=tuple(map(WindowRef.read, found[11])),
        )

    async def state(self, scope: Scope) -> str:
        """What is remembered now, as a hash: it changes with everything that a reading would show otherwise."""
        keys = Keys.of(scope)
        with store_errors("memory"):
            pipe = self._client.pipeline(transaction=True)
            for key in (keys.meta, keys.tail, keys.pins):
                pipe.hgetall(key)
            found = await pipe.execute()
        return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()

    async def append(
        self,
        scope: Scope,
        messages: Sequence[str],
        *,
        now: datetime,
        at: datetime,
        idempotency: Idempotency | None = None,
        greeting: str | None = None,
        speakers: Speakers | None = None,
        tier: str = "",
        expect: Head | None = None,
    ) -> "Appended":
        """Appends encoded messages in one step.

        Raises:
            IdempotencyMismatch: the key was used for another request.
            Conflict: the key's turn was deleted; or the conversation is no longer as `expect` has it.
        """
        keys = Keys.of(scope)
        answer = await self._scripts.run(
            "append",
            (keys.meta, keys.tail, keys.windows, keys.idem, keys.idem_age, SCOPES),
            str(scope),
            first_epoch(),
            now.timestamp(),
            at.isoformat(),
            f"{expect.epoch}:{expect.next_seq}" if expect else "",
            greeting or "",
            idempotency.key_hash if idempotency else "",
            idempotency.body_hash if idempotency else "",
            self._idempotency_seconds,
            compact([mended(speakers.user), mended(speakers.assistant)]) if speakers else "",
            tier,
            *messages,
        )
        match answer:
            case ["ok", epoch, seq, greeted]:
                return Appended(int(epoch), int(seq), greeted=bool(greeted))
            case ["replay", epoch, seq, user, reply]:
                return Appended(int(epoch), int(seq), stored=(user or None, reply or None))
            case ["mismatch"]:
                raise IdempotencyMismatch(MISMATCH)
            case ["gone"]:
                raise Conflict(GONE)
            case _:
                raise Conflict("The conversation changed meanwhile: look again and repeat.")

    async def claim(
        self, scope: Scope, idempotency: Idempotency, *, now: datetime, place: tuple[int, int] | None = None
    ) -> tuple[int, int] | None:
        """The epoch and place of the message that came with a key; where it is new, `place` becomes it.

        Raises:
            IdempotencyMismatch: the key was used for another request.
            Conflict: the key's turn was deleted.
        """
        keys = Keys.of(scope)
        answer = await self._scripts.run(
            "claim",
            (keys.meta, keys.idem, keys.idem_age),
            now.timestamp(),
            idempotency.key_hash,
            idempotency.body_hash,
            self._idempotency_seconds,
            *(place or ()),
        )
        match answer:
            case ["turn", epoch, seq]:
                return int(epoch), int(seq)
            case ["mismatch"]:
                raise IdempotencyMismatch(MISMATCH)
            case ["gone"]:
                raise Conflict(GONE)
            case _:
                return None

    async def put(self, scope: Scope, epoch: int, seq: int, old: str, new: str) -> bool | None:
        """Replaces a message of the tail. False: it is no longer `old`. None: it is not in the tail."""
        keys = Keys.of(scope)
        done = await self._scripts.run("put", (keys.meta, keys.tail), epoch, seq, digest(old), new)
        return {1: True, 0: False, -1: None}[done]

    async def locate(self, scope: Scope, epoch: int, seq: int) -> InTail | InWindow | None:
        """Where the message with this place is kept. A window may cover the place of a message that was forgotten."""
        keys = Keys.of(scope)
        match await self._scripts.run("locate", (keys.meta, keys.tail, keys.windows), epoch, seq):
            case ["tail", raw]:
                return InTail(raw)
            case ["window", index, raw]:
                return InWindow(index, WindowRef.read(raw))
            case _:
                return None

    async def windows_before(self, scope: Scope, epoch: int, seq: int, count: int) -> tuple[int, list[WindowRef]]:
        """The last `count` windows that begin before a place, oldest first, and the index of the first of them."""
        keys = Keys.of(scope)
        start, *raws = await self._scripts.run("before", (keys.meta, keys.windows), epoch, seq, count)
        return start, list(map(WindowRef.read, raws))

    async def windows(self, scope: Scope, start: int, stop: int) -> list[WindowRef]:
        """Windows by index, `stop` excluded."""
        if stop <= start:
            return []
        with store_errors("memory"):
            raws = await self._client.lrange(Keys.of(scope).windows, start, stop - 1)
        return [WindowRef.read(str(raw)) for raw in raws]

    async def derived(self, scope: Scope, start: int, stop: int) -> list[str]:
        """Ids of windows whose facts came, in that order, `stop` excluded."""
        if stop <= start:
            return []
        with store_errors("memory"):
            return [str(id) for id in await self._client.lrange(Keys.of(scope).derived, start, stop - 1)]

    async def drop(self, scope: Scope, epoch: int, seqs: Sequence[int]) -> int:
        """Takes messages out of the tail; how many were there."""
        keys = Keys.of(scope)
        return await self._scripts.run("drop", (keys.meta, keys.tail), epoch, *seqs) if seqs else 0

    async def drop_from(self, scope: Scope, epoch: int, seq: int) -> int | None:
        """Takes a message of the tail and all after it out, in one step; how many, or None where it is elsewhere."""
        keys = Keys.of(scope)
        count: int = await self._scripts.run("drop_from", (keys.meta, keys.tail), epoch, seq)
        return None if count < 0 else count

    async def forget_keys(self, scope: Scope, epoch: int, seqs: Sequence[int]) -> None:
        """Takes the hashes of what these turns asked out of the idempotency records."""
        await self._scripts.run("forget_keys", (Keys.of(scope).idem,), epoch, *seqs)

    async def cut(
        self, scope: Scope, epoch: int, at: InWindow, kept: Sequence[Message], raws: Sequence[str]
    ) -> tuple[int, list[str]] | None:
        """Deletes a window and all that follows it, putting `kept` into the tail.

        The number of messages deleted and the ids of the records; None: the window changed meanwhile.
        """
        keys = Keys.of(scope)
        back = [part for message, raw in zip(kept, raws, strict=True) for part in (message.seq, raw)]
        answer = await self._scripts.run(
            "cut",
            (keys.meta, keys.tail, keys.windows, GARBAGE, keys.todo, keys.attempts),
            str(scope),
            epoch,
            at.index,
            at.window.raw,
            *back,
        )
        if answer == -1:
            raise NotFound("There is no message with this id.", field="message_id")
        return None if answer == 0 else (answer[0], answer[1:])

    async def clear(self, scope: Scope, *, reset: bool) -> "Cleared":
        """Ends the conversation. `reset`: it begins anew with the next epoch and keeps the notes people wrote."""
        keys = Keys.of(scope)
        epoch, messages, *ids = await self._scripts.run(
            "clear",
            (
                keys.meta,
                keys.tail,
                keys.windows,
                GARBAGE,
                keys.todo,
                keys.attempts,
                keys.derived,
                keys.pins,
                keys.idem,
                keys.idem_age,
                SCOPES,
            ),
            str(scope),
            first_epoch() if reset else "",
        )
        return Cleared(epoch, messages, tuple(dict.fromkeys(ids)))

    async def last_at(self, scopes: Sequence[Scope]) -> list[datetime | None]:
        """When something was last said in each conversation."""
        pipe = self._client.pipeline(transaction=False)
        for scope in scopes:
            pipe.hget(Keys.of(scope).meta, "last_at")
        with store_errors("memory"):
            found = await pipe.execute()
        return [datetime.fromisoformat(value) if value else None for value in found]
