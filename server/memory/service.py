"""`Memory`: all that the rest of the server knows of what was said."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry

from server.errors import InvalidRequest
from server.ids import Scope, message_id, parse_message_id
from server.memory.derive import Deriver
from server.memory.embedding import Embedder
from server.memory.erase import Eraser, export
from server.memory.hot import HotBuffer
from server.memory.log import ConversationLog
from server.memory.messages import Alternative, Message, Role, Turn
from server.memory.metrics import MemoryMetrics
from server.memory.pages import WindowPages
from server.memory.pins import Pins
from server.memory.purge import Purger
from server.memory.reading import Reader
from server.memory.recall import Found, Question, Recaller
from server.memory.reindex import Reindexer
from server.memory.rewrite import Rewriter
from server.memory.scripts import Scripts
from server.memory.shared import Shared
from server.memory.summary import Summaries
from server.memory.turns import FinishMode, Turns
from server.memory.upkeep import Upkeep
from server.memory.views import (
    DeletedCounts,
    Greeting,
    Idempotency,
    MemoryOptions,
    Page,
    Pin,
    Recall,
    Speakers,
    Summary,
    Window,
    WindowPage,
)
from server.memory.windows import WindowStore
from server.memory.writer import Writer
from server.routing.types import LanguageModel
from server.stores.chroma import ChromaShards
from server.stores.redis import RedisPair

_CLOSE_SECONDS = 10.0


class Memory:
    """Conversations and what is remembered of them. Everything is looked up inside one `Scope` and nowhere else.

    Every method that touches a store raises `StoreUnavailable` when that does not answer; what was accepted is kept.
    """

    def __init__(
        self,
        redis: RedisPair,
        chroma: ChromaShards,
        embedder: Embedder,
        *,
        options: MemoryOptions | None = None,
        model: LanguageModel | None = None,
        registry: CollectorRegistry | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`model` writes summaries and facts; without one, none are written. `registry` is where metrics go."""
        options = options or MemoryOptions()
        shared = Shared(
            redis.busy, redis.cache, chroma, Scripts(redis.busy), embedder, options, MemoryMetrics(registry), clock
        )
        writer = Writer(model, enabled=options.write_facts, concurrency=options.derive_concurrency)
        self._clock = clock
        self._log = log = ConversationLog(shared)
        hot = HotBuffer(shared)
        self._windows = windows = WindowStore(shared, log, hot)
        self._reader = Reader(log, windows, hot)
        self._rewriter = Rewriter(shared, log, windows, hot, self._changed)
        self._turns = Turns(log, self._rewriter, clock)
        self._recaller = Recaller(shared, log, windows)
        self._pins = Pins(shared)
        deriver = Deriver(shared, log, windows, writer)
        self._pages = WindowPages(log, windows, deriver, self._rewriter)
        self._summaries = Summaries(shared, log, windows, deriver, writer)
        self._purge = Purger(shared)
        self._upkeep = Upkeep(shared, windows, deriver, self._summaries, self._purge)
        self._eraser = Eraser(shared, log, windows, hot, self._summaries)
        self._reindexer = Reindexer(shared, log, windows, self._eraser)

    # taking turns

    async def begin_turn(
        self,
        scope: Scope,
        text: str,
        *,
        at: datetime | None = None,
        idempotency: Idempotency | None = None,
        greeting: Greeting | None = None,
        speakers: Speakers | None = None,
        tier: str = "",
        extra: Mapping[str, str] | None = None,
    ) -> Turn:
        """Stores a person's message and keeps the place of its reply, in one step; from then on it is never lost.

        Args:
            at: when it was said; now where it is None.
            idempotency: the same key and body again give back the same turn, `replayed`, and store nothing.
            greeting: begins the conversation if it has no message yet.
            speakers: who talks, for what is derived from the conversation later; the last names given count.
            tier: the person's plan, which pays for what is derived; the last one given counts.
            extra: what the message is beside its words (`Message.extra`).

        Raises:
            InvalidRequest: the text is blank or not text.
            IdempotencyMismatch: the key came with another body before.
            Conflict: the key's turn was deleted meanwhile.
        """
        return await self._turns.begin(
            scope, text, at=at, idempotency=idempotency, greeting=greeting, speakers=speakers, tier=tier, extra=extra
        )

    async def claimed(self, scope: Scope, idempotency: Idempotency) -> Turn | None:
        """The turn that came with this key, `replayed`; None where the key is new.

        Raises:
            IdempotencyMismatch: the key came with another body before.
            Conflict: the key's turn was deleted meanwhile.
        """
        return await self._turns.claimed(scope, idempotency)

    async def claim(self, scope: Scope, idempotency: Idempotency, reply_id: str) -> None:
        """Makes this key the turn's that a reply belongs to, which follows the message it answers. Raises as above."""
        await self._turns.claim(scope, idempotency, reply_id)

    async def begin_reply(self, scope: Scope) -> Turn:
        """Keeps a place for a reply to the last message. `Conflict`: that is not a person's, or has changed."""
        return await self._turns.begin_reply(scope)

    async def greet(self, scope: Scope, greeting: Greeting, *, speakers: Speakers | None = None) -> Message:
        """Begins a conversation with a greeting. `Conflict`: it has begun already."""
        return await self._turns.greet(scope, greeting, speakers=speakers)

    async def append(
        self,
        scope: Scope,
        role: Role,
        text: str,
        *,
        at: datetime | None = None,
        speakers: Speakers | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> Message:
        """Stores one whole message behind the others (imports, measurements). Raises `InvalidRequest`."""
        return await self._turns.append(scope, role, text, at=at, speakers=speakers, extra=extra)

    async def note(
        self,
        scope: Scope,
        text: str,
        *,
        at: datetime,
        idempotency: Idempotency,
        extra: Mapping[str, str],
        greeting: Greeting | None = None,
        speakers: Speakers | None = None,
    ) -> bool:
        """Stores something that happened as a message of the person's that nobody has to answer.

        Whether it was stored just now: the same key stores it once. Args: as `begin_turn` has them.

        Raises:
            InvalidRequest: the text is blank or not text.
        """
        return await self._turns.note(
            scope, text, at=at, idempotency=idempotency, extra=extra, greeting=greeting, speakers=speakers
        )

    async def finish_reply(
        self, scope: Scope, epoch: int, seq: int, alternative: Alternative, *, mode: FinishMode
    ) -> Message | None:
        """Stores what the model gave; None where the place was reset or deleted meanwhile, and it is dropped.

        Args:
            mode: "fill" the place that was kept (does nothing where it is filled); "add" an alternative, which is then
                chosen; "replace" the chosen one. A failed one without text never displaces what was said.
        """
        return await self._turns.finish(scope, epoch, seq, alternative, mode)

    # what was said

    async def message(self, scope: Scope, id: str) -> Message:
        """Raises `NotFound`."""
        return await self._turns.read(scope, id)

    async def history(self, scope: Scope, *, before: int | None = None, limit: int = 50) -> Page:
        """The `limit` messages before a place (a `seq`), or the newest, oldest first."""
        return await self._reader.history(scope, before, limit)

    async def recent(self, scope: Scope, *, max_tokens: int, before_seq: int | None = None) -> list[Message]:
        """The newest messages that were said and cost at most `max_tokens` together, oldest first.

        Not more than the tail and `MemoryOptions.hot_messages` before it: what is older, `recall` finds.
        """
        return await self._reader.recent(scope, max_tokens, before_seq)

    async def choose(self, scope: Scope, id: str, index: int) -> Message:
        """Makes another alternative the one that was said. Raises `NotFound`, `InvalidRequest`."""
        message = await self._turns.choose(scope, id, index)
        self._upkeep.settle(scope)
        return message

    async def edit(self, scope: Scope, id: str, text: str) -> Message:
        """Changes what was said. Raises `NotFound`, `InvalidRequest`, or `Conflict` while it is being written."""
        message = await self._turns.edit(scope, id, text)
        self._upkeep.settle(scope)
        return message

    async def delete_from(self, scope: Scope, id: str) -> int:
        """Deletes a message and all after it, and what was derived from them; how many. Raises `NotFound`."""
        deleted = await self._rewriter.delete_from(scope, id)
        self._upkeep.settle(scope)
        return deleted

    async def reset(self, scope: Scope) -> int:
        """Ends the conversation; the next epoch. Every old id is unknown from now on, and late results are dropped.

        Notes that a person wrote stay pinned; pins that were made from messages go with them.
        """
        await self._upkeep.stop(scope)
        epoch = await self._eraser.reset(scope)
        self._changed(scope)
        return epoch

    async def epoch(self, scope: Scope) -> int:
        """The epoch, or 0 where there is no conversation yet."""
        head = await self._log.head(scope, tail=False)
        return head.epoch if head else 0

    async def state(self, scope: Scope) -> str:
        """What is remembered now, as a hash: as long as it stays, nothing that can be read has changed."""
        return await self._log.state(scope)

    async def last_message_at(self, scopes: Sequence[Scope]) -> list[datetime | None]:
        """When something was last said in each conversation."""
        return await self._log.last_at(scopes)

    # what is remembered

    async def recall(
        self,
        scope: Scope,
        query: str,
        *,
        speakers: Speakers,
        budget_tokens: int,
        before_seq: int | None = None,
        asker: Role | None = Role.USER,
        now: datetime | None = None,
    ) -> Recall:
        """The turns that answer `query` best and cost at most `budget_tokens`, as dated spans in order.

        Args: as `ask` and `search` have them.
        """
        question = self.ask(query, speakers=speakers, asker=asker)
        found = await self.search(scope, question, before_seq=before_seq, now=now)
        return found.within(budget_tokens)

    def ask(self, query: str, *, speakers: Speakers, asker: Role | None = Role.USER) -> Question | None:
        """Begins a search before it is known where: the query is embedded while the message is being stored.

        Args:
            speakers: the names as the query may have them.
            asker: who "I" is in the query; None for someone outside the conversation.
        """
        return self._recaller.ask(query, speakers, asker)

    async def search(
        self, scope: Scope, question: Question | None, *, before_seq: int | None = None, now: datetime | None = None
    ) -> Found:
        """`recall` for who does not know yet how much room there is: does all reads; `Found.within` brings the turns.

        Args:
            before_seq: only what was said before this place, for a prompt that goes on there: the last few messages
                that no window holds yet are in every prompt, and left out. None for all that was said.
            now: what "yesterday" counts from; this moment where it is None.
        """
        return await self._recaller.search(scope, question, before_seq=before_seq, now=now or self._clock())

    async def summary(self, scope: Scope) -> Summary | None:
        """The rolling summary, or None while there is none."""
        return await self._summaries.read(scope)

    async def set_summary(self, scope: Scope, text: str) -> Summary:
        """A person's correction: it stands until more windows close, and the model is told of it from then on.

        Raises:
            NotFound: there is no conversation yet.
            InvalidRequest, TooLarge: the text is blank, or too long.
        """
        summary = await self._summaries.set(scope, text)
        self._upkeep.sweep()
        return summary

    async def remove_summary(self, scope: Scope) -> None:
        """Takes the summary out, and what a person wrote of it."""
        await self._summaries.remove(scope)
        self._upkeep.sweep()

    async def windows(self, scope: Scope, *, before: int | None = None, limit: int = 20) -> WindowPage:
        """Closed windows, newest first, of those with an index below `before`."""
        return await self._pages.page(scope, before, limit)

    async def set_facts(self, scope: Scope, window_id: str, facts: Sequence[str]) -> Window:
        """A person's facts instead of the model's. Its id changes. Raises `NotFound`, `InvalidRequest`."""
        return await self._pages.set_facts(scope, window_id, facts)

    async def pins(self, scope: Scope) -> list[Pin]:
        """Oldest first."""
        return await self._pins.all(scope)

    async def pin(self, scope: Scope, *, text: str | None = None, message_id: str | None = None) -> Pin:
        """Pins a note, or what a message says. Raises `NotFound`, `InvalidRequest`, `TooLarge`."""
        if text is None:
            if message_id is None:
                raise InvalidRequest("Give the text of the pin, or the message to pin.", field="text")
            text = (await self.message(scope, message_id)).text
        elif message_id is not None:
            await self.message(scope, message_id)
        return await self._pins.add(scope, text, message_id)

    async def edit_pin(self, scope: Scope, id: str, text: str) -> Pin:
        """Raises `NotFound`, `InvalidRequest`, `TooLarge`."""
        return await self._pins.edit(scope, id, text)

    async def unpin(self, scope: Scope, id: str) -> None:
        """Raises `NotFound`."""
        await self._pins.remove(scope, id)

    async def forget(self, scope: Scope, message_ids: Sequence[str]) -> int:
        """Takes messages out as if they had never been said: text, pins, facts, summaries; how many there were.

        The stores' files forget them a moment later, in the background. Ids of what is gone count for nothing.

        Raises:
            NotFound: something is no message id at all.
            StoreUnavailable: some of it may be left; the same call again finishes it.
        """
        places = [parse_message_id(id) for id in message_ids]
        epoch = await self.epoch(scope)
        seqs = [seq for its, seq in places if its == epoch]
        if not seqs:
            return 0
        self._upkeep.cancel(scope)
        forgotten = await self._rewriter.forget(scope, epoch, seqs)
        await self._pins.remove_from(scope, frozenset(message_id(epoch, seq) for seq in seqs))
        await self._summaries.remove(scope)
        await self._windows.sweep()
        self._changed(scope)
        self._upkeep.settle(scope)
        self._upkeep.purge()
        return forgotten

    # people

    async def export(self, scope: Scope) -> dict[str, Any]:
        """Everything that is kept of a conversation, as JSON-serialisable data."""
        return await export(scope, self._log, self._reader, self._windows, self._summaries, self._pins)

    async def export_user(self, tenant: str, user: str) -> dict[str, Any]:
        """Everything that is kept of a person's conversations."""
        scopes = await self._eraser.scopes(tenant, user)
        return {"user": user, "conversations": [await self.export(scope) for scope in scopes]}

    async def clear(self, scope: Scope) -> DeletedCounts:
        """Deletes everything of a conversation, pins too, and makes the stores' files forget it."""
        counts = await self._clear(scope)
        await self._purge()
        return counts

    async def delete_user(self, tenant: str, user: str) -> DeletedCounts:
        """Deletes everything of a person, and makes the stores' files forget it.

        Raises:
            StoreUnavailable: something may be left; the same call again takes it out.
        """
        done = [await self._clear(scope) for scope in await self._eraser.scopes(tenant, user)]
        await self._purge()
        return DeletedCounts(len(done), sum(counts.messages for counts in done))

    async def reindex(self, progress: Callable[[int, int], None]) -> int:
        """After a change of the embedder: embeds every window anew, into the shards that were opened for it.

        Call it with `ChromaShards` opened with `reindexing=True` and no server running. `progress` is told how many
        windows of how many are done. It may be stopped at any moment; the next call goes on from there.
        """
        return await self._reindexer.run(progress)

    async def purge(self) -> None:
        """Makes the stores' files forget what was deleted. Raises `StoreUnavailable`: some may be left."""
        await self._purge()

    # behind the turns

    def settle(self, scope: Scope) -> None:
        """Closes windows and writes summaries in the background, as far as they are due. Call it after a turn."""
        self._upkeep.settle(scope)

    async def upkeep(self, scope: Scope) -> None:
        """Does now what `settle` does in the background, until nothing is due."""
        await self._upkeep.now(scope)

    def cancel(self, scope: Scope) -> None:
        """Stops asking the model about a conversation that its person has left; it is asked another time."""
        self._upkeep.cancel(scope)

    async def idle(self) -> None:
        """Returns when no work is under way in the background."""
        await self._upkeep.idle()

    async def start(self) -> None:
        """Sweeps up, in the background, what a server that was killed may have left."""
        self._upkeep.sweep()

    async def aclose(self) -> None:
        """Lets windows in flight be closed and gives up the rest, to be done another time."""
        await self._upkeep.aclose(_CLOSE_SECONDS)

    # inside

    async def _clear(self, scope: Scope) -> DeletedCounts:
        await self._upkeep.stop(scope)
        counts = await self._eraser.clear(scope)
        self._recaller.drop(scope)
        return counts

    def _changed(self, scope: Scope) -> None:
        """Closed windows have changed: what is being derived from the old text is void."""
        self._upkeep.cancel(scope)
        self._recaller.drop(scope)
