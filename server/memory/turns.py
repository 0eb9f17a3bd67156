"""Taking turns: what people and models say, appended in order and never lost once accepted."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Literal

from server.errors import Conflict, InvalidRequest, NotFound
from server.ids import Scope, message_id, parse_message_id
from server.memory.codec import decode_message, encode_message, mended, storable, utc
from server.memory.log import GONE, ConversationLog
from server.memory.messages import Alternative, Message, Role, Status, Turn
from server.memory.rewrite import UNKNOWN, Rewriter
from server.memory.views import Greeting, Idempotency, Speakers

FinishMode = Literal["fill", "add", "replace"]


class Turns:
    """Appends and completes messages."""

    def __init__(self, log: ConversationLog, rewriter: Rewriter, clock: Callable[[], datetime]) -> None:
        self._log = log
        self._rewriter = rewriter
        self._clock = clock

    async def begin(
        self,
        scope: Scope,
        text: str,
        *,
        at: datetime | None,
        idempotency: Idempotency | None,
        greeting: Greeting | None,
        speakers: Speakers | None,
        tier: str,
        extra: Mapping[str, str] | None,
    ) -> Turn:
        now = self._clock()
        at = utc(at) if at else now
        user = _new(Role.USER, said(text, "message"), at, extra)
        reply = _pending(at, now)
        appended = await self._log.append(
            scope,
            [encode_message(user), encode_message(reply)],
            now=now,
            at=at,
            idempotency=idempotency,
            greeting=encode_message(_greeting(greeting, at)) if greeting else None,
            speakers=speakers,
            tier=tier,
        )
        epoch, seq = appended.epoch, appended.seq
        if appended.stored is None:
            return Turn(epoch, _placed(user, epoch, seq), _placed(reply, epoch, seq + 1))
        stored = [
            decode_message(raw, epoch, place) if raw else await self._rewriter.read(scope, epoch, place)
            for place, raw in zip((seq, seq + 1), appended.stored, strict=True)
        ]
        if stored[0] is None or stored[1] is None:
            raise Conflict(GONE)
        return Turn(epoch, stored[0], stored[1], replayed=True)

    async def claimed(self, scope: Scope, idempotency: Idempotency) -> Turn | None:
        place = await self._log.claim(scope, idempotency, now=self._clock())
        if place is None:
            return None
        epoch, seq = place
        user, reply = [await self._rewriter.read(scope, epoch, at) for at in (seq, seq + 1)]
        if user is None or reply is None:
            raise Conflict(GONE)
        return Turn(epoch, user, reply, replayed=True)

    async def claim(self, scope: Scope, idempotency: Idempotency, reply_id: str) -> None:
        epoch, seq = parse_message_id(reply_id)
        await self._log.claim(scope, idempotency, now=self._clock(), place=(epoch, seq - 1))

    async def begin_reply(self, scope: Scope) -> Turn:
        """A place for a reply to the last message, which must be a person's."""
        head = await self._log.head(scope, newest=1)
        last = head.tail[-1] if head and head.tail else None
        if head and not head.tail and head.newest:  # all that came after a closed window was deleted
            last = await self._rewriter.read(scope, head.epoch, head.newest[-1].last)
        if head is None or last is None or last.role is not Role.USER:
            raise Conflict("The last message is not yours, so there is nothing to reply to.")
        now = self._clock()
        reply = _pending(now, now)
        appended = await self._log.append(scope, [encode_message(reply)], now=now, at=now, expect=head)
        return Turn(appended.epoch, last, _placed(reply, appended.epoch, appended.seq))

    async def greet(self, scope: Scope, greeting: Greeting, *, speakers: Speakers | None) -> Message:
        now = self._clock()
        first = _greeting(greeting, now)
        appended = await self._log.append(scope, [], now=now, at=now, greeting=encode_message(first), speakers=speakers)
        if not appended.greeted:
            raise Conflict("The conversation has begun already.")
        return _placed(first, appended.epoch, appended.seq - 1)

    async def append(
        self,
        scope: Scope,
        role: Role,
        text: str,
        *,
        at: datetime | None,
        speakers: Speakers | None,
        extra: Mapping[str, str] | None,
    ) -> Message:
        now = self._clock()
        at = utc(at) if at else now
        message = _new(role, said(text, "message"), at, extra)
        appended = await self._log.append(scope, [encode_message(message)], now=now, at=at, speakers=speakers)
        return _placed(message, appended.epoch, appended.seq)

    async def note(
        self,
        scope: Scope,
        text: str,
        *,
        at: datetime,
        idempotency: Idempotency,
        extra: Mapping[str, str],
        greeting: Greeting | None,
        speakers: Speakers | None,
    ) -> bool:
        at = utc(at)
        message = _new(Role.USER, said(text, "message"), at, extra)
        try:
            appended = await self._log.append(
                scope,
                [encode_message(message)],
                now=self._clock(),
                at=at,
                idempotency=idempotency,
                greeting=encode_message(_greeting(greeting, at)) if greeting else None,
                speakers=speakers,
            )
        except Conflict:  # it was stored, and deleted or reset since
            return False
        return appended.stored is None

    async def finish(
        self, scope: Scope, epoch: int, seq: int, alternative: Alternative, mode: FinishMode
    ) -> Message | None:
        alternative = replace(alternative, text=mended(alternative.text), created=utc(alternative.created))
        return await self._rewriter.change(scope, epoch, seq, lambda message: finished(message, alternative, mode))

    async def choose(self, scope: Scope, id: str, index: int) -> Message:
        def chosen(message: Message) -> Message:
            if not 0 <= index < len(message.alternatives):
                raise InvalidRequest(
                    f"This message has {len(message.alternatives)} alternatives, counted from 0.", field="index"
                )
            return replace(message, chosen=index)

        return await self._change(scope, id, chosen)

    async def edit(self, scope: Scope, id: str, text: str) -> Message:
        text, now = said(text, "text"), self._clock()

        def edited(message: Message) -> Message:
            if message.status is Status.PENDING:
                raise Conflict("This reply is still being written: edit it when it is done.")
            if message.text == text:
                return message
            new = replace(message.said, text=text, status=Status.COMPLETE, error=None)
            return replace(message, alternatives=_with(message, message.chosen, new), edited=now)

        return await self._change(scope, id, edited)

    async def read(self, scope: Scope, id: str) -> Message:
        epoch, seq = parse_message_id(id)
        return _known(await self._rewriter.read(scope, epoch, seq))

    async def _change(self, scope: Scope, id: str, change: Callable[[Message], Message]) -> Message:
        epoch, seq = parse_message_id(id)
        return _known(await self._rewriter.change(scope, epoch, seq, change))


def said(text: str, what: str) -> str:
    """`text` if it can be stored and says something.

    Raises:
        InvalidRequest: it is blank, or not text.
    """
    if not text.strip():
        raise InvalidRequest(f"The {what} is empty.", field=what)
    return storable(text, what)


def finished(message: Message, alternative: Alternative, mode: FinishMode) -> Message:
    """The reply with what the model gave. A failure never takes the place of something that was said."""
    if message.role is not Role.ASSISTANT:
        raise InvalidRequest("Only a reply can be generated again.", field="message_id")
    empty = all(_nothing(each) for each in message.alternatives)
    if empty or (mode == "replace" and not _nothing(alternative)):
        place = 0 if empty else message.chosen
        kept = () if empty else message.alternatives
        return replace(message, alternatives=(*kept[:place], alternative, *kept[place + 1 :]), chosen=place)
    if mode != "add" or _nothing(alternative) or alternative in message.alternatives:
        return message  # the last: it was stored already, and the answer to that was lost
    kept = tuple(each for each in message.alternatives if not _nothing(each))
    return replace(message, alternatives=(*kept, alternative), chosen=len(kept))


def _nothing(alternative: Alternative) -> bool:
    return alternative.status is Status.PENDING or (alternative.status is Status.FAILED and not alternative.text)


def _known(message: Message | None) -> Message:
    if message is None:
        raise NotFound(UNKNOWN, field="message_id")
    return message


def _with(message: Message, index: int, alternative: Alternative) -> tuple[Alternative, ...]:
    return (*message.alternatives[:index], alternative, *message.alternatives[index + 1 :])


def _new(role: Role, text: str, at: datetime, extra: Mapping[str, str] | None = None) -> Message:
    return Message("", 0, role, at, (Alternative(text, at),), extra=dict(extra or {}))


def _pending(at: datetime, now: datetime) -> Message:
    """`now` is when the place was kept: by it one can tell a reply whose server died."""
    return Message("", 0, Role.ASSISTANT, at, (Alternative("", now, Status.PENDING),))


def _greeting(greeting: Greeting, at: datetime) -> Message:
    alternatives = tuple(Alternative(mended(text), at) for text in greeting.texts)
    return Message("", 0, Role.ASSISTANT, at, alternatives, greeting.chosen)


def _placed(message: Message, epoch: int, seq: int) -> Message:
    return replace(message, id=message_id(epoch, seq), seq=seq)
