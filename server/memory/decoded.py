"""What closed windows say, decoded, by record id. A record's text never changes, so an entry is never out of date."""

from collections import OrderedDict
from collections.abc import Iterable

from server.memory.codec import decode_messages
from server.memory.messages import Message


class DecodedWindows:
    """At most `limit` bytes of encoded text; least recently used first out. In this process only."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: OrderedDict[str, tuple[tuple[Message, ...], int]] = OrderedDict()
        self._size = 0

    def get(self, id: str) -> tuple[Message, ...] | None:
        entry = self._held.get(id)
        if entry is None:
            return None
        self._held.move_to_end(id)
        return entry[0]

    def add(self, id: str, raw: str, epoch: int) -> tuple[Message, ...]:
        """Decodes and keeps what a window's record has as its document."""
        messages = self.get(id)
        if messages is None:
            messages = decode_messages(raw, epoch)
            self._held[id] = (messages, len(raw))
            self._size += len(raw)
            while self._size > self._limit and len(self._held) > 1:
                _, (_, size) = self._held.popitem(last=False)
                self._size -= size
        return messages

    def drop(self, ids: Iterable[str]) -> None:
        for id in ids:
            entry = self._held.pop(id, None)
            if entry is not None:
                self._size -= entry[1]
