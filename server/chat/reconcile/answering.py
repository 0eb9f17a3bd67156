"""Answers a client that sends its own history: what it asks for is made out, done to what is stored, and followed."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from server.chat.frontend import Frontend
from server.chat.live import Follower
from server.chat.party import Party, Who
from server.chat.reconcile.align import Kept, key
from server.chat.reconcile.plan import Add, Again, Choose, Drop, Edit, GoOn, Greet, Plan, Say, Step, reconcile
from server.chat.reconcile.sent import Sent
from server.chat.replies import Within
from server.chat.service import ChatService
from server.errors import Conflict
from server.ids import Scope
from server.memory.messages import CHAT, ELSEWHERE, Message, Role, Status, Turn
from server.memory.service import Memory
from server.memory.views import Idempotency

_log = structlog.get_logger(__name__)

READ_MORE = 32
"""Stored messages that are looked at beyond twice as many as the client shows."""
_EVENT = (("\0", 0),)  # a form that no client can show


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a client's. `retry`: its library says that it sends the same request once more."""

    sent: Sent
    frontend: Frontend
    mode: str | None = None
    claim: Idempotency | None = None
    retry: bool = False


class Reconciler:
    """Turns of clients with a history of their own."""

    def __init__(self, chat: ChatService, memory: Memory) -> None:
        self._chat = chat
        self._memory = memory

    async def answer(self, party: Party, call: Call) -> Follower | None:
        """The reply to a call; None where it has no place in the conversation, which is left as it was.

        Raises:
            NotFound, TooLarge, IdempotencyMismatch, Conflict, StoreUnavailable, ShuttingDown: as `ChatService.turn`.
        """
        who = party.who
        async with self._chat.line(who.scope):
            if call.claim is not None:
                turn = await self._memory.claimed(who.scope, call.claim)
                if turn is not None:
                    return await self._chat.replay(who, turn, mode=call.mode)
            plan = await self._plan(party, call.sent)
            _log.info("reconciled", steps=[type(step).__name__ for step in plan.steps], then=type(plan.then).__name__)
            if plan.then is None:
                return None
            chat = plan.chat or secrets.token_hex(4)
            for step in plan.steps:
                await self._take(party, step, chat)
            match plan.then:
                case Say(text):
                    within = Within(chat, call.frontend, call.claim)
                    return await self._chat.turn(who, text, mode=call.mode, within=within)
                case Again(id, whole):
                    return await self._again(who, call, id, replay=call.retry and whole)
                case GoOn():
                    return await self._chat.extend(who, mode=call.mode, frontend=call.frontend)

    async def _plan(self, party: Party, sent: Sent) -> Plan:
        page = await self._memory.history(party.scope, before=None, limit=2 * len(sent.said) + READ_MORE)
        greeting = party.greeting()
        return reconcile(
            as_kept(page.messages), sent.said, whole=not page.more, greetings=greeting.texts if greeting else ()
        )

    async def _take(self, party: Party, step: Step, chat: str) -> None:
        who, memory = party.who, self._memory
        match step:
            case Greet(index):
                greeting = party.greeting(index)
                if greeting is not None:
                    await memory.greet(who.scope, greeting, speakers=party.speakers)
            case Choose(id, index):
                await memory.choose(who.scope, id, index)
            case Edit(id, text):
                await self._chat.edit(who, id, text)
            case Drop(id):
                await self._chat.delete_from(who, id)
            case Add(role, text):
                extra = {CHAT: chat, ELSEWHERE: "yes"}
                await memory.append(who.scope, role, text, speakers=party.speakers, extra=extra)

    async def _again(self, who: Who, call: Call, id: str | None, *, replay: bool) -> Follower:
        """The last reply once more; a library's own second try is given the one that is there.

        One that is still being written, or was never begun, is not waited for: it is followed, or made in its place.
        """
        scope = who.scope
        if id is None:
            newest = (await self._memory.history(scope, before=None, limit=1)).messages[-1]
            id = newest.id if newest.role is Role.ASSISTANT else None
            replay = id is not None
        if replay and id is not None:
            turn = await self._turn_of(scope, id)
            return await self._chat.replay(who, turn, mode=call.mode)
        follower = await self._chat.regenerate(who, id, mode=call.mode, frontend=call.frontend)
        if call.claim is not None:
            await self._memory.claim(scope, call.claim, follower.reply_id)
        return follower

    async def _turn_of(self, scope: Scope, reply_id: str) -> Turn:
        reply = await self._memory.message(scope, reply_id)
        page = await self._memory.history(scope, before=reply.seq, limit=1)
        if not page.messages:
            raise Conflict("The conversation changed meanwhile: look again and repeat.")
        return Turn(page.epoch, page.messages[-1], reply, replayed=True)


def as_kept(messages: Sequence[Message]) -> list[Kept]:
    """Stored messages as clients may show them; places without text are shown by none."""
    kept: list[Kept] = []
    chat: str | None = None
    for message in messages:
        if message.role is Role.USER or CHAT in message.extra:
            chat = message.extra.get(CHAT)
        if not message.text.strip() or message.status is Status.PENDING:
            continue
        if message.role is Role.USER and message.extra.keys() - {CHAT, ELSEWHERE}:  # something that happened
            kept.append(Kept(message.id, message.role, _EVENT))
            continue
        forms = [form for index in _order(message) for form in _forms(message, index)]
        answers = bool(kept) and kept[-1].role is Role.USER and message.role is Role.ASSISTANT
        reply = answers and (message.said.model is not None or chat is not None)
        whole = message.status is Status.COMPLETE
        kept.append(Kept(message.id, message.role, tuple(forms), message.chosen, chat, reply, whole))
    return kept


def _order(message: Message) -> list[int]:
    """The alternatives, the chosen one first, then the newest."""
    others = [index for index in range(len(message.alternatives)) if index != message.chosen]
    return [message.chosen, *reversed(others)]


def _forms(message: Message, index: int) -> list[tuple[str, int]]:
    one = message.alternatives[index]
    beside = one.notice.text if one.notice is not None else None
    return [(key(one.text), index), *([(key(one.text + beside), index)] if beside else [])]
