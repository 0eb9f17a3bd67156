"""Writing down what windows are about: summaries and facts, in the background, from verbatim text only."""

from collections.abc import Mapping, Sequence

import structlog

from server.ids import Scope
from server.memory.keys import Keys
from server.memory.log import ConversationLog, Head
from server.memory.records import WindowRecord, derived_metadata
from server.memory.shared import Shared
from server.memory.views import Derived
from server.memory.windows import WindowStore
from server.memory.writer import Unusable, Writer, Written, opaque
from server.routing.types import Payer
from server.stores.errors import store_errors

_log = structlog.get_logger(__name__)

SUMMARY = "summary"  # beside record ids in the list of what is to be tried again


def payer_of(scope: Scope, head: Head) -> Payer:
    """Who pays for what is derived from a conversation: whoever it is with, on the plan they last spoke on."""
    return Payer(scope.tenant, scope.user, head.tier)


class Deriver:
    """Takes windows from the list of those without derived text; puts those that fail back, for later.

    Nothing empty, refused or unreadable is ever stored. The window itself is searchable all the while.
    """

    def __init__(self, shared: Shared, log: ConversationLog, windows: WindowStore, writer: Writer) -> None:
        self._client = shared.state
        self._scripts = shared.scripts
        self._chroma = shared.chroma
        self._options = shared.options
        self._metrics = shared.metrics
        self._shared = shared
        self._log = log
        self._windows = windows
        self._writer = writer

    async def derive_due(self, scope: Scope) -> int:
        """Asks about the newest windows that are due; how many the model gave something for.

        Raises:
            StoreUnavailable: what is not written yet stays due.
        """
        head = await self._log.head(scope, tail=False)
        if head is None or not self._writer.enabled:
            return 0
        with store_errors("memory"):
            due = await self._client.zrevrangebyscore(
                Keys.of(scope).todo,
                self._shared.now,
                "-inf",
                start=0,
                num=self._options.derive_at_once + 1,
            )
        ids = [str(id) for id in due if id != SUMMARY][: self._options.derive_at_once]
        windows = await self._windows.load(scope, ids)
        answered = 0
        for window in (windows[id] for id in ids if id in windows):
            if window.epoch != head.epoch:
                continue
            try:
                await self._derive(scope, head, window)
                answered += 1
            except Unusable as reason:
                await self.defer(scope, window.id, reason.why)
                self._metrics.derivations.labels("window", reason.why).inc()
                if reason.stop:
                    break
        return answered

    async def defer(self, scope: Scope, member: str, why: str) -> None:
        """Tries again later, each time later still. The count outlives the server."""
        keys = Keys.of(scope)
        now = self._shared.now
        if member == SUMMARY:
            with store_errors("memory"):
                await self._client.zadd(keys.todo, {SUMMARY: now}, nx=True)
        count = await self._scripts.run(
            "defer", (keys.todo, keys.attempts), member, now, why, *self._options.retry_seconds
        )
        _log.info("derivation_deferred", what="summary" if member == SUMMARY else "window", why=why, attempt=count)

    async def standing(self, scope: Scope, windows: Sequence[WindowRecord]) -> Mapping[str, Derived]:
        """How the summary and facts of each window stand, by record id."""
        undone = [window.id for window in windows if not window.derived]
        attempts: dict[str, str | None] = {}
        if undone:
            with store_errors("memory"):
                found = await self._client.hmget(Keys.of(scope).attempts, undone)
            attempts = {id: str(value) if value else None for id, value in zip(undone, found, strict=True)}

        def state(window: WindowRecord) -> Derived:
            if window.derived:
                return Derived.DONE
            if (attempts.get(window.id) or "").endswith(":refused"):
                return Derived.REFUSED
            return Derived.PENDING if self._writer.enabled else Derived.NONE

        return {window.id: state(window) for window in windows}

    async def _derive(self, scope: Scope, head: Head, window: WindowRecord) -> None:
        said = any(message.text.strip() for message in window.messages)
        payer = payer_of(scope, head)
        written = (
            await self._writer.window(opaque(scope), payer, window.messages, head.names) if said else Written("", ())
        )
        vectors = await self._windows.embed_facts(written.facts, head.names)
        keys = Keys.of(scope)
        with store_errors("memory"):
            if await self._client.zscore(keys.todo, window.id) is None:
                return  # rewritten or deleted while the model was thinking
        await self._chroma.update_metadata(
            str(scope), window.id, derived_metadata(written.summary, written.facts, vectors)
        )
        done = await self._scripts.run(
            "derived", (keys.meta, keys.todo, keys.attempts, keys.derived), window.epoch, window.id
        )
        self._metrics.derivations.labels("window", "written" if done else "late").inc()
