"""What a model is sent for one turn, and why. Pure: the same input gives the same prompt.

    system      operator policy · rules · the character's card · who they talk with      the same every turn
    user        what a client with prompts of its own says ahead of the conversation      nearly always the same
    user        pins · rolling summary                                                    changes with a window
    …           recent messages, the oldest on a block's edge                             grows at the end
    user        today · what is worn · recalled memory · lore · the message · reminder    new every turn

So what changes from turn to turn stands last, and the prompt of one turn, up to there, begins the next one's: a
provider's prompt cache holds. Memory, notes and lore are fenced as data and never have the system's role. There is
one system message, then the user's and the character's in turn, the user's first: the shape every chat template takes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from server.chat import wording
from server.chat.beside import Wardrobe
from server.chat.budget import MESSAGE_TOKENS, Budget, clipped
from server.chat.fence import Fence
from server.chat.frontend import PLAIN, Frontend, block
from server.chat.history import Line, lines, newest
from server.chat.recalled import as_text, long_date
from server.chat.sheet import Sheet
from server.errors import TooLarge
from server.memory.messages import Message, Role
from server.memory.tokens import estimate_tokens
from server.memory.views import MemorySpan, Pin, Summary
from server.routing.types import PromptMessage

SHEET_SHARE = 0.5
"""Of what the rules leave: at most this for the card, so that a long one never silences the conversation."""
PINS_SHARE, SUMMARY_SHARE, LORE_SHARE, REMINDER_SHARE = 0.1, 0.15, 0.1, 0.05
"""Of the prompt."""
MESSAGE_SHARE = 0.1
"""Of the prompt, kept for the newest message whatever its length, so that the room for history does not vary."""

WARDROBE_TOKENS, TITLE_TOKENS = 160, 24
"""At most so many for what is worn and was given, and for one title in it."""


@dataclass(frozen=True, slots=True)
class PromptInput:
    """Everything a prompt is made of.

    `history` is what was said before, oldest first; `message` is the user's text that is to be answered, None where
    the newest reply in `history` is to be continued. `block`: how many messages the history's edge moves by.
    `recall(tokens, before_seq)`: what memory brings back in so many tokens, from before the recent messages.
    """

    sheet: Sheet
    fence: Fence
    policy: str
    pins: Sequence[Pin]
    summary: Summary | None
    recall: Callable[[int, int | None], tuple[MemorySpan, ...]]
    lore: Sequence[str]
    history: Sequence[Message]
    message: str | None
    now: datetime
    block: int
    wardrobe: Wardrobe | None = None
    frontend: Frontend = PLAIN


@dataclass(frozen=True, slots=True)
class PromptPart:
    """A message of the prompt. `why`: what it holds and what was left out of it."""

    role: Literal["system", "user", "assistant"]
    content: str
    cacheable: bool
    why: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Prompt:
    """The messages in order; `spans` are the recalled turns that are really in it. Sizes in estimated tokens."""

    parts: tuple[PromptPart, ...]
    tokens: int
    budget: Budget
    spans: tuple[MemorySpan, ...]
    summary_used: bool

    def messages(self) -> list[PromptMessage]:
        return [PromptMessage(part.role, part.content, part.cacheable) for part in self.parts]


@dataclass(frozen=True, slots=True)
class _Piece:
    role: Literal["system", "user", "assistant"]
    text: str
    why: str
    stable: bool
    tokens: int | None = None  # where it is known already


def message_room(sheet: Sheet, fence: Fence, policy: str, budget: Budget) -> int:
    """How many tokens the user's message may have: all that is left beside the rules."""
    frame = estimate_tokens(wording.frame(sheet, fence, policy)) + MESSAGE_TOKENS
    return budget.prompt - frame - MESSAGE_TOKENS - wording.TODAY_TOKENS


def check_message(text: str, room: int) -> int:
    """The message's tokens.

    Raises:
        TooLarge: it cannot be sent even with nothing else in the prompt.
    """
    tokens = estimate_tokens(text)
    if tokens > room:
        raise TooLarge(
            f"The message is too long for this model and plan: about {tokens:,} tokens, and {max(room, 0):,} fit.",
            tokens=tokens,
            room=max(room, 0),
        )
    return tokens


def build_prompt(given: PromptInput, budget: Budget) -> Prompt:
    """The prompt within `budget.prompt` tokens.

    Who gets room: the rules and the newest message always; then the card, pins and summary up to their shares; of the
    rest at most half goes to recalled memory, lore and the reminder, and history takes what is left.

    Raises:
        TooLarge: the newest message does not fit even alone.
    """
    sheet, fence = given.sheet, given.fence
    message = wording.CONTINUE if given.message is None else fence.safe(given.message)
    room = message_room(sheet, fence, given.policy, budget)
    left = room - check_message(message, room)

    frame = wording.frame(sheet, fence, given.policy)
    card, why_card = _card(given, min(int(room * SHEET_SHARE), left))
    left -= estimate_tokens(card)
    notes, why_notes, summary_used = _notes(given, budget, left)
    left -= estimate_tokens(notes) + MESSAGE_TOKENS if notes else 0
    reminder = _reminder(given, min(int(budget.prompt * REMINDER_SHARE), left))
    left -= estimate_tokens(reminder)
    app, app_last = _app(given.frontend.before, fence, left), _app(given.frontend.after, fence, left // 2)
    left -= estimate_tokens(app) + estimate_tokens(app_last) + (MESSAGE_TOKENS if app else 0)

    # What varies from turn to turn (memory, lore, the message's length) must not move the history's edge.
    reserve = max(0, int(budget.prompt * MESSAGE_SHARE) - estimate_tokens(message))
    volatile = min(budget.recall + int(budget.prompt * LORE_SHARE), max(0, left - reserve) // 2)
    said = lines(given.history, fence)
    recent = newest(said, left - reserve - volatile - wording.OPENING_TOKENS - MESSAGE_TOKENS, given.block)
    lore = _lore(given, min(int(budget.prompt * LORE_SHARE), volatile))
    volatile -= estimate_tokens(lore)
    wardrobe = _wardrobe(given, min(WARDROBE_TOKENS, volatile))
    volatile -= estimate_tokens(wardrobe)
    spans = given.recall(
        min(budget.recall, volatile - estimate_tokens(wording.memory("", sheet, fence))),
        recent[0].seq if recent else None,
    )
    memory = wording.memory(as_text(spans, fence), sheet, fence) if spans else ""

    pieces = [
        _Piece("system", frame if not card else f"{frame}\n\n{card}", why_card, True),
        _Piece("user", app, "what the app says ahead of the conversation", True),
        *_opening(notes, why_notes, recent, said),
        *(_Piece(_role(line), line.text, "recent message", True, line.tokens - MESSAGE_TOKENS) for line in recent),
        _Piece("user", wording.today(long_date(given.now.astimezone(UTC).date())), "today's date", False),
        _Piece("user", wardrobe, "what is worn and was given", False),
        _Piece("user", memory, f"recalled memory: {sum(len(span.turns) for span in spans)} turns", False),
        _Piece("user", lore, "lore that the talk touches", False),
        _Piece("user", message, "the continuation asked for" if given.message is None else "the message", False),
        _Piece("user", app_last, "what the app says after the conversation", False),
        _Piece("user", reminder, "the card's post_history_instructions", False),
    ]
    parts = _merged([piece for piece in pieces if piece.text])
    tokens = sum(part.tokens for part in parts)
    return Prompt(parts, tokens, budget, spans, summary_used)


def _card(given: PromptInput, tokens: int) -> tuple[str, str]:
    room = tokens - estimate_tokens(wording.card("", given.fence))
    text, notes = given.sheet.fitted(room)
    why = "; ".join(["operator policy" if given.policy else "no operator policy", "rules", "character card", *notes])
    return (wording.card(text, given.fence) if text else ""), why


def _notes(given: PromptInput, budget: Budget, tokens: int) -> tuple[str, str, bool]:
    """Pins and summary. The newest pins come first in line, in the order they were made."""
    fence = given.fence
    room = tokens - estimate_tokens(wording.notes([""], "…", given.sheet, fence)) - MESSAGE_TOKENS
    pin_room = min(int(budget.prompt * PINS_SHARE), room)
    pins: list[str] = []
    for pin in reversed(given.pins):
        text = fence.safe(pin.text)
        cost = estimate_tokens(f"- {text}")
        if cost <= pin_room:
            pin_room -= cost
            room -= cost
            pins.insert(0, text)
    summary = (
        clipped(fence.safe(given.summary.text), min(int(budget.prompt * SUMMARY_SHARE), room)) if given.summary else ""
    )
    if not pins and not summary:
        return "", "", False
    why = [f"{len(pins)} of {len(given.pins)} pins"] if given.pins else []
    why += ["summary of earlier windows"] if summary else []
    return wording.notes(pins, summary, given.sheet, fence), "; ".join(why), bool(summary)


def _lore(given: PromptInput, tokens: int) -> str:
    room = tokens - estimate_tokens(wording.lore([], given.fence))
    kept: list[str] = []
    for entry in given.lore:
        text = given.fence.safe(entry)
        if (cost := estimate_tokens(text)) <= room:
            room -= cost
            kept.append(text)
    return wording.lore(kept, given.fence) if kept else ""


def _wardrobe(given: PromptInput, tokens: int) -> str:
    """What is worn, and as many of the newest gifts as there is room for."""
    if given.wardrobe is None:
        return ""
    fence, sheet = given.fence, given.sheet
    worn = clipped(fence.safe(given.wardrobe.worn or ""), TITLE_TOKENS)
    gifts = [clipped(fence.safe(title), TITLE_TOKENS) for title in given.wardrobe.given]
    while True:
        text = wording.wardrobe(worn, gifts, sheet, fence) if worn or gifts else ""
        if not text or estimate_tokens(text) <= tokens:
            return text
        if gifts:
            gifts.pop()
        else:
            worn = ""


def _app(texts: Sequence[str], fence: Fence, tokens: int) -> str:
    text = block(texts, fence)
    return text if estimate_tokens(text) <= tokens else ""


def _reminder(given: PromptInput, tokens: int) -> str:
    empty = wording.reminder("", given.sheet, given.fence)
    text = clipped(given.sheet.post_history_instructions, tokens - estimate_tokens(empty))
    return wording.reminder(text, given.sheet, given.fence) if text else ""


def _opening(notes: str, why: str, recent: Sequence[Line], said: Sequence[Line]) -> list[_Piece]:
    """What stands between the card and the first message: the notes, or a line so that the user's role comes first."""
    if notes:
        return [_Piece("user", notes, why, True)]
    if recent and recent[0].role is Role.ASSISTANT:
        text = wording.CUT if len(recent) < len(said) else wording.OPENING
        return [_Piece("user", text, "chat templates want a user's message first", True)]
    return []


def _role(line: Line) -> Literal["user", "assistant"]:
    return "user" if line.role is Role.USER else "assistant"


def _merged(pieces: Sequence[_Piece]) -> tuple[PromptPart, ...]:
    """Neighbours of one role become one message. The system message and the last one that will repeat are cacheable."""
    groups: list[list[_Piece]] = []
    for piece in pieces:
        if groups and groups[-1][0].role == piece.role:
            groups[-1].append(piece)
        else:
            groups.append([piece])
    stable = 0
    while stable < len(groups) and all(piece.stable for piece in groups[stable]):
        stable += 1
    parts: list[PromptPart] = []
    for index, group in enumerate(groups):
        content = "\n\n".join(piece.text for piece in group)
        parts.append(
            PromptPart(
                role=group[0].role,
                content=content,
                cacheable=index in (0, stable - 1),
                why="; ".join(piece.why for piece in group),
                tokens=MESSAGE_TOKENS
                + sum(estimate_tokens(piece.text) if piece.tokens is None else piece.tokens for piece in group),
            )
        )
    return tuple(parts)
