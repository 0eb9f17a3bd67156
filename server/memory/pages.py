"""Closed windows as people look at them."""

from collections.abc import Sequence

from server.errors import InvalidRequest
from server.ids import Scope
from server.memory.derive import Deriver
from server.memory.log import ConversationLog
from server.memory.records import WindowRecord
from server.memory.rewrite import Rewriter
from server.memory.turns import said
from server.memory.views import Window, WindowPage
from server.memory.windows import WindowStore
from server.memory.writer import FACT_CHARACTERS, MAX_FACTS, clean


class WindowPages:
    """Pages of windows, and facts that a person writes."""

    def __init__(self, log: ConversationLog, windows: WindowStore, deriver: Deriver, rewriter: Rewriter) -> None:
        self._log = log
        self._windows = windows
        self._deriver = deriver
        self._rewriter = rewriter

    async def page(self, scope: Scope, before: int | None, limit: int) -> WindowPage:
        """Newest first, of those with an index below `before`."""
        head = await self._log.head(scope, tail=False)
        if head is None:
            return WindowPage((), False, 0)
        stop = head.windows if before is None else max(0, min(before, head.windows))
        start = max(0, stop - limit)
        refs = await self._log.windows(scope, start, stop)
        records = await self._windows.load(scope, [ref.id for ref in refs])
        found = [(start + at, records[ref.id]) for at, ref in enumerate(refs) if ref.id in records]
        return WindowPage(await self._shown(scope, found[::-1]), start > 0, head.windows)

    async def set_facts(self, scope: Scope, window_id: str, facts: Sequence[str]) -> Window:
        """Raises `NotFound`, `InvalidRequest`."""
        if len(facts) > MAX_FACTS:
            raise InvalidRequest(f"A window holds at most {MAX_FACTS} facts.", field="facts")
        if any(len(fact) > FACT_CHARACTERS for fact in facts):
            raise InvalidRequest(f"A fact has at most {FACT_CHARACTERS} characters.", field="facts")
        checked = tuple(clean(said(fact, "facts")) for fact in facts)
        return (await self._shown(scope, [await self._rewriter.set_facts(scope, window_id, checked)]))[0]

    async def _shown(self, scope: Scope, found: Sequence[tuple[int, WindowRecord]]) -> tuple[Window, ...]:
        standing = await self._deriver.standing(scope, [window for _, window in found])
        return tuple(
            Window(window.id, index, window.messages, window.summary, window.facts, standing[window.id])
            for index, window in found
        )
