"""Taking everything out: resets, clearing, deleting a person, and what an export holds before."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from server.ids import Scope, parse_scope
from server.memory.codec import message_to_data
from server.memory.hot import HotBuffer
from server.memory.keys import SCOPES
from server.memory.log import Cleared, ConversationLog
from server.memory.pins import Pins, pin_to_data
from server.memory.reading import Reader
from server.memory.records import summary_to_data
from server.memory.shared import Shared
from server.memory.summary import Summaries
from server.memory.views import DeletedCounts, Summary
from server.memory.windows import WindowStore
from server.stores.errors import store_errors

FORMAT = "vestige-memory/1"
_PAGE = 500


class Eraser:
    """Ends conversations in all stores. The stores' files forget them with the next purge."""

    def __init__(
        self, shared: Shared, log: ConversationLog, windows: WindowStore, hot: HotBuffer, summaries: Summaries
    ) -> None:
        self._client = shared.state
        self._chroma = shared.chroma
        self._log = log
        self._windows = windows
        self._hot = hot
        self._summaries = summaries

    async def reset(self, scope: Scope) -> int:
        """Begins the next epoch, which is returned. Notes that a person wrote stay; all that was said goes.

        Raises:
            StoreUnavailable: the conversation may have ended already; what is left of it goes with the next sweep.
        """
        cleared = await self._log.clear(scope, reset=True)
        await self._delete(scope, cleared)
        return cleared.epoch

    async def clear(self, scope: Scope) -> DeletedCounts:
        """Leaves nothing of the conversation in the stores.

        Raises:
            StoreUnavailable: something may be left; the same call again takes it out.
        """
        cleared = await self._log.clear(scope, reset=False)
        await self._delete(scope, cleared)
        await self._delete_stray(scope)
        return DeletedCounts(1, cleared.messages)

    async def scopes(self, tenant: str, user: str) -> list[Scope]:
        """The person's conversations."""
        start = f"{tenant}/{user}/"
        with store_errors("memory"):
            found = await self._client.zrangebylex(SCOPES, f"[{start}", f"({start[:-1]}0")  # '0' follows '/'
        return [parse_scope(str(name)) for name in found]

    async def all_scopes(self) -> AsyncGenerator[Scope, None]:
        """Every conversation there is, by name."""
        after = "-"
        while True:
            with store_errors("memory"):
                found = await self._client.zrangebylex(SCOPES, after, "+", start=0, num=_PAGE)
            for name in found:
                yield parse_scope(str(name))
            if len(found) < _PAGE:
                return
            after = f"({found[-1]}"

    async def _delete_stray(self, scope: Scope) -> None:
        """Deletes what no list names, if there ever is such a record; a conversation begun meanwhile keeps its own."""
        records = await self._chroma.find(str(scope), {"scope": str(scope)})
        now = await self._log.head(scope, tail=False)
        stray = [record.id for record in records if now is None or record.metadata["epoch"] != now.epoch]
        await self._windows.delete(scope, stray)
        if now is None:
            await self._windows.forget_garbage(scope)

    async def _delete(self, scope: Scope, cleared: Cleared) -> None:
        await self._hot.drop(scope)
        await self._summaries.drop_cached(scope)
        await self._windows.delete(scope, cleared.records)


async def export(
    scope: Scope, log: ConversationLog, reader: Reader, windows: WindowStore, summaries: Summaries, pins: Pins
) -> dict[str, Any]:
    """Everything that is kept of a conversation, as JSON."""
    messages = await reader.everything(scope)
    head = await log.head(scope, tail=False)
    refs = await log.windows(scope, 0, head.windows) if head else []
    records = await windows.load(scope, [ref.id for ref in refs])
    summary, correction = await asyncio.gather(summaries.read(scope), summaries.correction(scope))
    return {
        "format": FORMAT,
        "character": scope.character,
        "epoch": head.epoch if head else 0,
        "messages": [{"id": message.id, **message_to_data(message)} for message in messages],
        "windows": [
            {
                "id": window.id,
                "start_id": window.messages[0].id,
                "end_id": window.messages[-1].id,
                "summary": window.summary,
                "facts": list(window.facts),
            }
            for window in (records[ref.id] for ref in refs if ref.id in records)
        ],
        "summary": _summary_data(summary),
        "correction": _summary_data(correction),
        "pins": [{"id": pin.id, **pin_to_data(pin)} for pin in await pins.all(scope)],
    }


def _summary_data(summary: Summary | None) -> dict[str, Any] | None:
    return dict(summary_to_data(summary)) if summary else None
