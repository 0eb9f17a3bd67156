"""What memory takes and gives: pages, spans, windows, pins, options."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from server.memory.messages import Message, Role
from server.settings import Settings


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A client's key for a turn and what it asked, both as hashes: neither the key nor a word of text is stored."""

    key_hash: str
    body_hash: str


@dataclass(frozen=True, slots=True)
class Greeting:
    """A character's first message with its alternates, and which of them is said."""

    texts: tuple[str, ...]
    chosen: int = 0


@dataclass(frozen=True, slots=True)
class Speakers:
    """The names people read. Storage knows roles only, so a renamed character is renamed in what it remembers too."""

    user: str
    assistant: str

    def name(self, role: Role) -> str:
        return self.user if role is Role.USER else self.assistant


@dataclass(frozen=True, slots=True)
class Page:
    """Messages, oldest first. `more`: there are older ones. `epoch` is 0 where there is no conversation yet."""

    messages: tuple[Message, ...]
    more: bool
    epoch: int


@dataclass(frozen=True, slots=True)
class Summary:
    """The rolling picture of a conversation. `windows`: how many closed windows it was written from."""

    text: str
    updated: datetime
    windows: int
    by: str  # "model" or "user"


@dataclass(frozen=True, slots=True)
class MemoryTurn:
    """A turn that was recalled. `score` orders turns within one recall and means nothing between two."""

    message_id: str
    role: Role
    speaker: str
    text: str
    created: datetime
    score: float


@dataclass(frozen=True, slots=True)
class MemorySpan:
    """Adjacent recalled turns, oldest first."""

    start_id: str
    end_id: str
    start: datetime
    end: datetime
    turns: tuple[MemoryTurn, ...]


@dataclass(frozen=True, slots=True)
class Recall:
    """What a query brought back, in the order of the conversation. `tokens`: what the spans cost in a prompt."""

    spans: tuple[MemorySpan, ...] = ()
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Pin:
    """A note that is in every prompt. `message_id`: the message it was made from, if any."""

    id: str
    text: str
    created: datetime
    message_id: str | None = None


class Derived(StrEnum):
    """How a window's summary and facts stand."""

    NONE = "none"  # no model here writes them
    PENDING = "pending"  # not yet written, or to be tried again
    DONE = "done"
    REFUSED = "refused"  # the model would not; it is asked again, ever less often


@dataclass(frozen=True, slots=True)
class Window:
    """A closed window. `index` counts from the oldest, 0. Its id changes whenever what it holds is changed."""

    id: str
    index: int
    messages: tuple[Message, ...]
    summary: str | None
    facts: tuple[str, ...]
    derived: Derived


@dataclass(frozen=True, slots=True)
class WindowPage:
    """Windows, newest first. `more`: there are older ones."""

    windows: tuple[Window, ...]
    more: bool
    total: int


@dataclass(frozen=True, slots=True)
class DeletedCounts:
    conversations: int = 0
    messages: int = 0


@dataclass(frozen=True, slots=True)
class MemoryOptions:
    """How memory behaves. Times in seconds, sizes in bytes or tokens.

    `keep_open` messages stay in the tail after a window closes, so that a swipe or an edit of the latest exchange
    rewrites no window. A reply that is `stale_seconds` old and still pending belongs to a server that died.
    """

    window_messages: int = 8
    keep_open: int = 2
    hot_messages: int = 60
    hot_seconds: int = 7 * 86_400
    index_cache_bytes: int = 256 * 2**20
    write_facts: bool = True
    stale_seconds: float = 900.0
    idempotency_seconds: int = 86_400
    garbage_seconds: float = 300.0
    summary_every: int = 4
    summary_input_tokens: int = 3_000
    derive_at_once: int = 4
    derive_concurrency: int = 4
    retry_seconds: tuple[float, ...] = field(default=(60.0, 600.0, 3_600.0, 21_600.0, 86_400.0))
    max_pins: int = 200
    pin_characters: int = 4_000

    @classmethod
    def of(cls, settings: Settings) -> "MemoryOptions":
        """What the settings say."""
        return cls(
            window_messages=settings.window_messages,
            hot_messages=settings.hot_messages,
            hot_seconds=settings.hot_seconds,
            index_cache_bytes=settings.index_cache_mb * 2**20,
            write_facts=settings.write_facts,
            stale_seconds=max(900.0, 2 * settings.total_seconds),
        )
