"""An incremental reader of `text/event-stream` (WHATWG HTML, section 9.2), with bounded memory."""

_BOM = b"\xef\xbb\xbf"


class EventTooLarge(ValueError):
    """An event, or a line without an end, is larger than the reader takes."""


class EventReader:
    """Bytes in as the network cuts them, whole events' data out.

    Lines end with LF, CRLF or CR; a character may be cut between two chunks; comments and the fields `event`, `id` and
    `retry` carry nothing for us. An event that the end of the stream cuts off is dropped, as the specification asks.

    Args:
        max_event: bytes of one event, its field names and comments between included.
    """

    def __init__(self, max_event: int = 1 << 20) -> None:
        self._max = max_event
        self._line = bytearray()
        self._data: list[bytes] = []
        self._size = 0
        self._after_cr = False
        self._first = True

    def feed(self, chunk: bytes) -> list[str]:
        """The data of every event that `chunk` completes; several data lines are joined with a newline.

        Raises:
            EventTooLarge: the reader must not be used any more.
        """
        if not (self._line or self._data) and (quick := self._plain(chunk)):
            return quick
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        events: list[str] = []
        *lines, rest = chunk.split(b"\n")
        for end in lines:
            self._grow(len(end))
            line = end
            if self._line:
                line = bytes(self._line) + end
                self._line.clear()
            if self._first:
                self._first = False
                line = line.removeprefix(_BOM)
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif line:
                self._field(line)
            else:
                if self._data:
                    events.append(b"\n".join(self._data).decode("utf-8", "replace"))
                    self._data.clear()
                self._size = 0
        if rest:
            self._grow(len(rest))
            self._line += rest
        return events

    def _plain(self, chunk: bytes) -> list[str] | None:
        """What nearly every chunk holds, read at a tenth of the cost: whole events of one `data: …` line each. None for
        any other chunk."""
        if not (chunk.startswith(b"data: ") and chunk.endswith(b"\n\n")) or b"\r" in chunk:
            return None
        events = chunk[6:-2].decode("utf-8", "replace").split("\n\ndata: ")
        if len(chunk) > self._max or chunk.count(b"\n") != 2 * len(events):
            return None
        self._size = 0
        self._first = self._after_cr = False
        return events

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > self._max:
            raise EventTooLarge(f"an event is larger than {self._max} bytes")

    def _field(self, line: bytes) -> None:
        """A line that is no ordinary `data`."""
        if line == b"data":
            self._data.append(b"")
        elif line.startswith(b":") and not self._data:
            self._size = 0  # keep-alive comments may come for minutes before the first event
