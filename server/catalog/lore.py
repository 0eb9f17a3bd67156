"""A card's lorebook: short texts that join the prompt while the talk touches them.

Keys are literal words. A key counts where it stands at the start of a word, in any case, so that "tailor" meets
"Tailors" and "art" does not meet "start". Entries with patterns (`use_regex`) never match, and nothing is compiled.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from server.catalog import limits
from server.catalog.cards import Card
from server.catalog.text import clean_text
from server.memory.tokens import estimate_tokens

SCAN_CHARACTERS = 20_000  # of the newest text: more than any scan depth that people use

# Scripts from Thai on (Chinese, Japanese …) are mostly written without spaces: a key may stand anywhere in them.
_LETTER = r"[^\W_\u0e00-\U0010ffff]"
_WORD_START = re.compile(f"(?<!{_LETTER})(?={_LETTER})")


@dataclass(frozen=True, slots=True)
class LoreEntry:
    """A text for the prompt. Macros in it are not expanded yet."""

    content: str
    position: Literal["before_char", "after_char"]
    order: float
    tokens: int


@dataclass(frozen=True, slots=True)
class _Said:
    """The recent text, with a mark before every word."""

    exact: str
    folded: str


@dataclass(frozen=True, slots=True)
class _Candidate:
    entry: LoreEntry
    rank: tuple[float, bool, int]  # priority, constant, and an earlier place wins


def lore_for(card: Card, recent_text: str | Sequence[str], budget_tokens: int) -> list[LoreEntry]:
    """The entries that the recent text calls for, in the order in which the prompt should have them.

    Args:
        card: whose lorebook it is; one without gives no entries.
        recent_text: what was said lately; as a list of messages, oldest first, the book's `scan_depth` counts.
        budget_tokens: at most so many tokens in all, or the book's own `token_budget` where that is less. Entries of
            low `priority` (where missing: low `insertion_order`) give way first.
    """
    book = card.data.get("character_book")
    if not isinstance(book, dict):
        return []
    text = _scanned(book, recent_text)
    said = _Said(exact=_marked(text), folded=_marked(text.casefold()))
    candidates = []
    for index, raw in enumerate(_entries(book)):
        content, decorators = _content(raw)
        if content and _called(raw, decorators, said):
            candidates.append(_candidate(raw, content, index))
    budget = min(budget_tokens, int(_number(book.get("token_budget"), 0)) or budget_tokens)
    chosen: list[_Candidate] = []
    for candidate in sorted(candidates, key=lambda it: it.rank, reverse=True):
        if candidate.entry.tokens <= budget:
            budget -= candidate.entry.tokens
            chosen.append(candidate)
    chosen.sort(key=lambda it: (it.entry.order, -it.rank[2]))
    return [it.entry for it in chosen]


def pattern_entries(card: Card) -> int:
    """How many enabled entries of the card's lorebook have patterns for keys, which never match here."""
    book = card.data.get("character_book")
    if not isinstance(book, dict):
        return 0
    return sum(1 for raw in _entries(book) if raw.get("use_regex") is True)


def _entries(book: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The enabled entries, until the bound on keys is reached. Some tools write an object of entries, by number."""
    entries = book.get("entries")
    if isinstance(entries, dict):
        entries = list(entries.values())
    keys = 0
    for raw in entries if isinstance(entries, list) else []:
        if isinstance(raw, dict) and raw.get("enabled", True) is not False and isinstance(raw.get("content"), str):
            keys += len(_keys(raw, "keys")) + len(_keys(raw, "secondary_keys"))
            if keys > limits.LORE_KEYS:
                return
            yield raw


def _scanned(book: dict[str, Any], recent: str | Sequence[str]) -> str:
    if not isinstance(recent, str):
        depth = int(_number(book.get("scan_depth"), 0))
        recent = "\n".join(recent[-depth:] if depth > 0 else recent)
    return recent[-SCAN_CHARACTERS:]


def _content(raw: dict[str, Any]) -> tuple[str, frozenset[str]]:
    """The entry's text without the decorators (lines of `@@name value`) it begins with, and their names."""
    lines = clean_text(raw["content"][: limits.FIELD]).strip().split("\n")
    names = set()
    while lines and (lines[0].startswith("@@") or not lines[0].strip()):
        words = lines.pop(0).split()
        names.update(words[:1])
    return "\n".join(lines).strip(), frozenset(names)


def _called(raw: dict[str, Any], decorators: frozenset[str], said: _Said) -> bool:
    if raw.get("use_regex") is True:
        return False
    if "@@activate" in decorators:
        return True
    if "@@dont_activate" in decorators:
        return False
    if raw.get("constant") is True:
        return True
    exact = raw.get("case_sensitive") is True

    def any_of(name: str) -> bool:
        return any(
            _marked(key) in said.exact if exact else _marked(key.casefold()) in said.folded for key in _keys(raw, name)
        )

    if not any_of("keys"):
        return False
    return raw.get("selective") is not True or not _keys(raw, "secondary_keys") or any_of("secondary_keys")


def _keys(raw: dict[str, Any], name: str) -> list[str]:
    value = raw.get(name)
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list):
        return []
    return [key.strip() for key in value if isinstance(key, str) and key.strip()]


def _marked(text: str) -> str:
    """`text` with a mark before every word, so that a key that begins with one is found at the start of words only."""
    return _WORD_START.sub("\x00", text)


def _candidate(raw: dict[str, Any], content: str, index: int) -> _Candidate:
    order = _number(raw.get("insertion_order"), 100.0)
    entry = LoreEntry(
        content=content,
        position="before_char" if raw.get("position") == "before_char" else "after_char",
        order=order,
        tokens=estimate_tokens(content),
    )
    return _Candidate(entry, (_number(raw.get("priority"), order), raw.get("constant") is True, -index))


def _number(value: object, default: float) -> float:
    """`value` where it is a number that arithmetic can take, else `default`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e9:
        return default
    return float(value)
