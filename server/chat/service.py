"""`ChatService`: taking turns with a character, and changing what was said."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime

from server.catalog.records import Viewer
from server.catalog.store import CharacterStore
from server.chat.beside import Bare, Beside, all_before, since
from server.chat.context import Context
from server.chat.events import Accepted
from server.chat.flight import InFlight
from server.chat.frontend import FRONTEND_SHARE, Frontend
from server.chat.generation import Generator, Job
from server.chat.lines import Lines
from server.chat.live import Follower, LiveTurn
from server.chat.party import Party, Who
from server.chat.prompt import Prompt
from server.chat.replies import GREETING_ID, Within, already_made, greeting_shown, idempotency, is_nothing, live_of
from server.errors import Conflict, InvalidRequest, NotFound
from server.ids import Scope, parse_message_id
from server.memory.messages import CHAT, Message, Role, Turn
from server.memory.recall import Question
from server.memory.service import Memory
from server.memory.views import DeletedCounts, Page
from server.metrics import Metrics
from server.policy.gate import Gate
from server.routing.policy.routes import check_mode
from server.routing.types import LanguageModel
from server.settings import Settings

SAVE_SECONDS = 30.0
DRAIN_SECONDS = 10.0
_SWITCHED = "The reply was stopped because you switched to another character. What came is kept."
_RESET = "The conversation was reset, so this reply was dropped."
_DELETED = "This message was deleted, so its reply was dropped."
_WRITING = "This reply is still being written: wait for it, or stop it."
_NO_QUESTION = (
    "No message of yours stands before this reply, so it cannot be generated again: swipe to another instead."
)


@dataclass(frozen=True, slots=True)
class Opened:
    """A page of history. `greeting`: the conversation has no messages yet, and this is how it would begin."""

    page: Page
    greeting: Message | None = None


class ChatService:
    """Turns and edits of all conversations. Replies are made in tasks of their own; requests follow them."""

    def __init__(
        self,
        memory: Memory,
        model: LanguageModel,
        characters: CharacterStore,
        settings: Settings,
        metrics: Metrics,
        gate: Gate,
        *,
        clock: Callable[[], datetime],
        save_seconds: float = SAVE_SECONDS,
        beside: Beside | None = None,
    ) -> None:
        self._memory = memory
        self._model = model
        self._characters = characters
        self._clock = clock
        self._metrics = metrics
        self._gate = gate
        self._beside = beside or Bare()
        self._context = Context(memory, model, settings, clock, self._beside)
        self._flight = InFlight(
            Generator(memory, model, self._context, gate, metrics, clock=clock, save_seconds=save_seconds)
        )
        self._beginning = Lines()  # so that messages are stored in the order in which they came

    # turns

    async def turn(
        self, who: Who, text: str, *, mode: str | None = None, key: str | None = None, within: Within | None = None
    ) -> Follower:
        """Stores a message and has it answered. When this returns, the message is kept whatever happens.

        `key` is the client's idempotency key: the same key and request again follow the same reply while it is made,
        get it from the store afterwards, and have it made anew where the first try left nothing. `within` a client's
        own history the caller stands in the conversation's line already.

        Raises:
            NotFound: there is no such character for this person.
            InvalidRequest: there is no such mode.
            TooLarge: the message does not fit the plan or the model.
            IdempotencyMismatch: the key came with another request before.
            Conflict: the key's turn was deleted since.
            StoreUnavailable, ShuttingDown: nothing was accepted.
        """
        party = await self.party(who, mode, within.frontend if within else None)
        self._context.check(party, text)
        claim = None if key is None else idempotency(key, [who.scope.character, text, mode])
        question = self._memory.ask(text, speakers=party.speakers)
        warming = asyncio.create_task(self._read_ahead(text, question), name="policy-warm")
        try:
            async with nullcontext() if within else self.line(who.scope):
                self._flight.refuse_when_closing()
                await self._beside.before_turn(party)
                turn = await self._memory.begin_turn(
                    who.scope,
                    text,
                    idempotency=within.claim if within else claim,
                    greeting=None if within else party.greeting(),
                    speakers=party.speakers,
                    tier=who.tier,
                    extra={CHAT: within.chat} if within else None,
                )
                return self._answer(party, turn, question, warming)
        except BaseException:
            warming.cancel()
            if question is not None:
                question.drop()
            raise

    async def replay(self, who: Who, turn: Turn, *, mode: str | None = None) -> Follower:
        """Follows the reply of a turn that came before, as `turn` does with a key that is known. Raises as it."""
        return self._answer(await self.party(who, mode), turn)

    def line(self, scope: Scope) -> AbstractAsyncContextManager[None]:
        """Inside, nobody else begins a turn in this conversation."""
        return self._beginning.turn(scope)

    async def regenerate(
        self, who: Who, message_id: str | None = None, *, mode: str | None = None, frontend: Frontend | None = None
    ) -> Follower:
        """Has a reply made again as a new alternative, which becomes the chosen one; the last reply by default.

        A reply that has nothing in it yet, because the first try failed, is made in its own place. Where the last
        message is the person's own, it is answered.

        Raises:
            NotFound: no such character or message; nothing was said yet.
            InvalidRequest: it is not a reply to a message.
        """
        party = await self.party(who, mode, frontend)
        target = await self._target(who.scope, message_id)
        if target.role is Role.USER:
            if message_id is not None:
                raise InvalidRequest("Only a reply can be generated again.", field="message_id")
            self._flight.refuse_when_closing()
            return self._answer(party, await self._memory.begin_reply(who.scope))
        before = await self._memory.history(who.scope, before=target.seq, limit=1)
        question = before.messages[-1] if before.messages else None
        if question is None or question.role is not Role.USER:
            raise InvalidRequest(_NO_QUESTION, field="message_id")
        job = Job(
            party,
            live_of(who.scope, target),
            mode="fill" if is_nothing(target) else "add",
            message=question.text,
            query=question.text,
            before_seq=question.seq,
            user_id=question.id,
        )
        return self._flight.start(job, Accepted(None, target.id))

    async def extend(
        self, who: Who, message_id: str | None = None, *, mode: str | None = None, frontend: Frontend | None = None
    ) -> Follower:
        """Has the last reply go on where it stops.

        Raises:
            NotFound: no such character or message; nothing was said yet.
            InvalidRequest: it is not a reply, or has no text.
            Conflict: it is not the last message.
        """
        party = await self.party(who, mode, frontend)
        target = await self._target(who.scope, message_id)
        if target.role is not Role.ASSISTANT or not target.text.strip():
            raise InvalidRequest("Only a reply that has text can be continued.", field="message_id")
        if message_id is not None and (await self._last(who.scope)).seq != target.seq:
            raise Conflict("Only the last reply can be continued.")
        job = Job(
            party,
            live_of(who.scope, target),
            mode="replace",
            message=None,
            query=target.text,
            before_seq=target.seq + 1,
            user_id=None,
            before=target.text,
        )
        return self._flight.start(job, Accepted(None, target.id))

    async def preview(self, who: Who, message: str, *, mode: str | None = None) -> Prompt:
        """The prompt that `message` would be answered with now. Stores nothing.

        Raises:
            NotFound, TooLarge, StoreUnavailable: as `turn`.
        """
        party = await self.party(who, mode)
        return self._context.prompt(party, await self._context.read(party, message=message, query=message))

    # what was said

    async def history(self, who: Who, *, before: str | None, limit: int) -> Opened:
        """The messages before one, or the newest. A conversation without any shows the character's greeting.

        Raises:
            NotFound: `before` is of another conversation, or of before a reset.
        """
        if before == GREETING_ID:
            return Opened(Page((), False, 0))
        epoch, seq = (None, None) if before is None else parse_message_id(before)
        page = await self._memory.history(who.scope, before=seq, limit=limit)
        if epoch not in (None, page.epoch):
            raise NotFound("There is no message with this id.", field="before")
        if page.messages or before is not None:
            return Opened(page)
        try:
            party = await self.party(who, None)
        except NotFound:  # the character was deleted: what was said stays readable
            return Opened(page)
        return Opened(page, greeting_shown(party, self._clock()))

    async def choose(self, who: Who, message_id: str, index: int) -> Message:
        """Makes another alternative the one that was said.

        Raises:
            NotFound, InvalidRequest: no such message or alternative.
            Conflict: the message is being written.
        """
        if message_id == GREETING_ID:
            return await self.choose_greeting(who, index)
        self._refuse_while_written(who.scope, message_id)
        return await self._memory.choose(who.scope, message_id, index)

    async def choose_greeting(self, who: Who, index: int) -> Message:
        """Begins a conversation with one of the character's greetings.

        Raises:
            InvalidRequest: there is no such greeting.
            Conflict: the person has said something already.
        """
        party = await self.party(who, None)
        greeting = party.greeting()
        if greeting is None or not 0 <= index < len(greeting.texts):
            count = len(greeting.texts) if greeting else 0
            raise InvalidRequest(f"This character has {count} greetings, counted from 0.", field="index")
        async with self._beginning.turn(who.scope):
            page = await self._memory.history(who.scope, before=None, limit=2)
            if not page.messages:
                return await self._memory.greet(who.scope, replace(greeting, chosen=index), speakers=party.speakers)
        first = page.messages[0]
        if len(page.messages) > 1 or first.role is not Role.ASSISTANT:
            raise Conflict("The conversation has begun already: swipe its first message instead.")
        return await self._memory.choose(who.scope, first.id, index)

    async def edit(self, who: Who, message_id: str, text: str) -> Message:
        """Raises:
        NotFound: no such message.
        Conflict: it is being written.
        """
        self._refuse_while_written(who.scope, message_id)
        return await self._memory.edit(who.scope, message_id, text)

    async def delete_from(self, who: Who, message_id: str) -> int:
        """Deletes a message and all after it, replies in the making too; how many those were.

        Raises:
            NotFound: no such message.
        """
        epoch, seq = parse_message_id(message_id)
        # those of before: a turn that begins while this waits for the store is not deleted
        late = [live for live in self._flight.of(who.scope) if live.epoch == epoch and live.seq >= seq]
        deleted = await self._memory.delete_from(who.scope, message_id)
        await self._flight.stop(late, Conflict(_DELETED))
        await self._beside.after_removal(who.scope, since(message_id))
        return deleted

    async def reset(self, who: Who) -> int:
        """Ends the conversation; the epoch that begins. Late results of the old one are dropped."""
        old = self._flight.of(who.scope)
        epoch = await self._memory.reset(who.scope)
        await self._flight.stop(old, Conflict(_RESET))
        await self._beside.after_removal(who.scope, all_before(epoch))
        return epoch

    async def forget(self, who: Who, message_ids: Sequence[str]) -> int:
        """Takes messages out as if they had never been said, with all that came from them; how many there were.

        Raises:
            NotFound: something is no message id at all.
        """
        writing = [live for live in self._flight.of(who.scope) if live.reply_id in message_ids]
        await self._flight.stop(writing, Conflict(_DELETED))
        forgotten = await self._memory.forget(who.scope, message_ids)
        await self._beside.after_removal(who.scope, frozenset(message_ids).__contains__)
        return forgotten

    async def clear(self, who: Who) -> None:
        """Deletes everything of a conversation, pins too."""
        async with self._beginning.turn(who.scope):
            await self._flight.stop(self._flight.of(who.scope), Conflict(_DELETED))
            await self._beside.before_clearing(who.scope.tenant, who.scope.user, who.scope.character)
            await self._memory.clear(who.scope)

    async def delete_user(self, tenant: str, user: str) -> DeletedCounts:
        """Deletes every conversation of a person."""
        await self._flight.stop(self._flight.of_person(tenant, user), Conflict(_DELETED))
        await self._beside.before_clearing(tenant, user)
        return await self._memory.delete_user(tenant, user)

    # work in flight

    async def switch(self, tenant: str, user: str, character: str, *, before: str | None) -> None:
        """Stops what is under way for this person with every other character; what came of replies is stored.

        `before`: the character that was the active one.
        """
        others = [live for live in self._flight.of_person(tenant, user) if live.scope.character != character]
        scopes = {live.scope for live in others}
        if before not in (None, character):
            scopes.add(Scope(tenant, user, before))
        for scope in scopes:
            self._memory.cancel(scope)
        await self._flight.stop(others, Conflict(_SWITCHED))

    def in_flight(self, scope: Scope) -> list[LiveTurn]:
        """The replies of a conversation that are being made or wait to be, in order."""
        return self._flight.of(scope)

    async def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Takes no new turns, lets replies end for so long, then stops them and stores what came of them."""
        await self._flight.drain(seconds)

    # inside

    async def party(self, who: Who, mode: str | None = None, frontend: Frontend | None = None) -> Party:
        """The person with the character. Raises `NotFound`, and `InvalidRequest` where there is no such mode."""
        if mode is not None:
            check_mode(mode, self._model.info.modes)
        record = await self._characters.get(who.scope.tenant, who.scope.character, Viewer(who.scope.user))
        if frontend is not None:
            room = int(self._context.budget(who.tier).prompt * FRONTEND_SHARE)
            frontend = frontend.fitted(record.card, who.user_name, room)
        return Party.of(who, record.card, mode, frontend)

    async def _last(self, scope: Scope) -> Message:
        page = await self._memory.history(scope, before=None, limit=1)
        if not page.messages:
            raise NotFound("Nothing was said in this conversation yet.")
        return page.messages[-1]

    async def _target(self, scope: Scope, message_id: str | None) -> Message:
        """The message meant, once nobody writes it any more."""
        found = await self._last(scope) if message_id is None else await self._memory.message(scope, message_id)
        writing = self._flight.writing(scope, found.id)
        if not writing:
            return found
        for live in writing:
            await live.ended()
        return await self._memory.message(scope, found.id)

    def _answer(
        self,
        party: Party,
        turn: Turn,
        question: Question | None = None,
        warming: "asyncio.Task[None] | None" = None,
    ) -> Follower:
        """Follows the reply to an accepted message: the one being made, the stored one, or a new one."""
        reply, user = turn.reply, turn.user
        assert user is not None  # noqa: S101 - a turn that was begun by a message has it
        accepted = Accepted(user, reply.id, turn.replayed)
        for live in self._flight.writing(party.scope, reply.id):
            if live.running:
                return live.follow(accepted)
        if turn.replayed and not is_nothing(reply):
            self._metrics.turn("replayed")
            return already_made(party.scope, reply, user.id, accepted)
        job = Job(
            party,
            live_of(party.scope, reply),
            mode="fill",
            message=user.text,
            query=user.text,
            before_seq=user.seq,
            user_id=user.id,
            question=question,
            warming=warming,
        )
        return self._flight.start(job, accepted)

    async def _read_ahead(self, text: str, question: Question | None) -> None:
        """Has the content gate read a message while it is being stored; most have just been embedded for memory."""
        if question is not None:
            await asyncio.wait({question.embedding})
        await self._gate.warm(text)

    def _refuse_while_written(self, scope: Scope, message_id: str) -> None:
        if self._flight.writing(scope, message_id):
            raise Conflict(_WRITING)
