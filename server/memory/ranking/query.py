"""What a question asks for, read from its words alone."""

import re
from collections import Counter
from dataclasses import dataclass

from server.memory.ranking.dates import NamedDate, find_dates
from server.memory.ranking.words import STOP, term_ids, words

MAX_CHARACTERS = 2_000  # of a message; a paste of ten thousand is searched by its beginning and, mostly, its end
MAX_DENSE_CHARACTERS = 400  # of a text to embed: latency grows with length
MAX_TEXTS = 4
MIN_NICKNAME = 3  # letters of a name that stand for it: "Mel" for Melanie

_AIDE = re.compile(  # words spent on asking, which say nothing of what is asked for
    r"\b(?:(?:do|did|can|could|would|will|don['’]t)\s+you\s+(?:still\s+|even\s+)?"
    r"(?:remember|recall|know|tell\s+me|remind\s+me)|(?:remind|tell)\s+me|(?:i|you)\s+(?:told|said\s+to)\s+(?:you|me))\b",
    re.IGNORECASE,
)
_FIRST = frozenset({"i", "me", "my", "mine", "myself"})
_SECOND = frozenset({"you", "your", "yours", "yourself"})
_WHEN = re.compile(r"\b(?:when|what (?:date|day|month|year|time)|how long ago)\b", re.IGNORECASE)
_LISTING = re.compile(
    r"\b(?:what|which)\s+(?:\w+\s+){0,2}?\w+s\b|\bhow many\b|\bha(?:s|ve)\b|\ball\b|\bever\b|\bboth\b", re.IGNORECASE
)
_CLAUSE = re.compile(r"[.!?;:,\n]+|\b(?:and|or|while|after|before|when|with|for|at|from|because|but)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Query:
    """A question taken apart. `texts` are to be embedded (kind "query") and given to `rank` in this order.

    `terms` are (term id, times); `speaker` is the one it is about, if it is about one; `listing`: it asks for
    several things that may lie far apart; `when`: it asks for a time.
    """

    text: str
    texts: tuple[str, ...]
    terms: tuple[tuple[int, int], ...]
    speaker: str | None
    dates: tuple[NamedDate, ...]
    listing: bool
    when: bool


def embedding_text(speaker: str, text: str, speakers: tuple[str, ...] = ()) -> str:
    """What to embed for a turn: its text without the speakers' names.

    "Caroline" in "Wow, Caroline!" pulls the turn towards every question about Caroline. Who spoke is a feature of its
    own, so the names only blur what was said.
    """
    return _without_names(text, tuple({speaker, *speakers} - {""})) or text or " "


def parse_query(text: str, speakers: tuple[str, ...], asker: int | None = 0) -> Query:
    """Reads `text` as a question about a conversation between `speakers`.

    `asker` is the index of the one who writes it ("I" is them, "you" the other); None for someone outside it.
    """
    bounded = (
        text if len(text) <= MAX_CHARACTERS else f"{text[: MAX_CHARACTERS // 4]} {text[-MAX_CHARACTERS * 3 // 4 :]}"
    )
    about = _about(bounded, speakers, asker)
    plain, dates = find_dates(_AIDE.sub(" ", bounded))
    plain = _without_names(plain, speakers) or bounded.strip() or " "
    return Query(
        text=bounded,
        texts=_texts(plain),
        terms=tuple(Counter(term_ids(plain)).items()),
        speaker=about,
        dates=dates,
        listing=_LISTING.search(plain) is not None,
        when=_WHEN.search(plain) is not None,
    )


def _texts(plain: str) -> tuple[str, ...]:
    """The question, its content words, and its longest parts where it has several: at most four, in this order."""
    whole = plain if len(plain) <= MAX_DENSE_CHARACTERS else plain[-MAX_DENSE_CHARACTERS:].partition(" ")[2]
    content = " ".join(word for word in words(whole) if word not in STOP)
    parts = [part.strip() for part in _CLAUSE.split(whole)]
    parts = [part for part in parts if len([word for word in words(part) if word not in STOP]) >= 2 and part != whole]
    longest = sorted(parts, key=len, reverse=True)[: MAX_TEXTS - 2]
    return tuple(dict.fromkeys(text for text in (whole or plain[:MAX_DENSE_CHARACTERS], content, *longest) if text))


def _about(text: str, speakers: tuple[str, ...], asker: int | None) -> str | None:
    """The one speaker whom the names, or else the pronouns, point to."""
    said = re.findall(r"\w+", re.sub(r"['’]\w+", "", text))
    named = [name for name in speakers if any(_calls(word, name) for word in said)]
    if named or asker is None or len(speakers) != 2:
        return named[0] if len(named) == 1 else None
    pronouns = set(re.findall(r"\w+", _AIDE.sub(" ", text).lower()))
    first, second = bool(pronouns & _FIRST), bool(pronouns & _SECOND)
    if first == second:
        return None
    return speakers[asker] if first else speakers[1 - asker]


def _calls(word: str, name: str) -> bool:
    """Whether `word` is a part of `name`, or a capitalised beginning of it."""
    low, parts = word.lower(), [part for part in re.findall(r"\w+", name.lower()) if part not in STOP]
    if low in parts:
        return True
    return len(word) >= MIN_NICKNAME and word[0].isupper() and low not in STOP and any(p.startswith(low) for p in parts)


def _without_names(text: str, names: tuple[str, ...]) -> str:
    parts = sorted({part for name in names for part in re.findall(r"\w+", name) if part.lower() not in STOP}, key=len)
    if parts:
        text = re.sub(rf"\b(?:{'|'.join(map(re.escape, reversed(parts)))})(?:['’]s)?\b", " ", text, flags=re.IGNORECASE)
    return re.sub(r"\s+([,.?!])", r"\1", re.sub(r"\s+", " ", text)).strip(" ,")
