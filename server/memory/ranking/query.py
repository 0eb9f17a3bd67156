"""What a question asks for, read from its words alone."""

import re
from collections import Counter
from dataclasses import dataclass

from server.memory.ranking.dates import NamedDate, find_dates
from server.memory.ranking.words import STOP, term_ids

MAX_CHARACTERS = 2_000  # of a message; a paste of ten thousand is searched by its beginning and, mostly, its end
MAX_DENSE_CHARACTERS = 400  # of a text to embed: latency grows with length
ASKED = 2  # how much more the questions of a message count than the rest of it
MIN_NICKNAME = 3  # letters of a name that stand for it: "Mel" for Melanie

_AIDE = re.compile(  # words spent on asking, which say nothing of what is asked for
    r"\b(?:(?:do|did|can|could|would|will|don['’]t)\s+you\s+(?:still\s+|even\s+)?"
    r"(?:remember|recall|know|tell\s+me|remind\s+me)|(?:remind|tell)\s+me)\b",
    re.IGNORECASE,
)
_TOLD = re.compile(
    r"\b(i|you)\s+(?:have\s+|had\s+|ever\s+)*(?:told|said\s+to|mentioned\s+to)\s+(?:you|me)\b", re.IGNORECASE
)
_FIRST = frozenset({"i", "me", "my", "mine", "myself"})
_SECOND = frozenset({"you", "your", "yours", "yourself"})
_WHEN = re.compile(r"\b(?:when|what (?:date|day|month|year|time)|how long ago)\b", re.IGNORECASE)
_COUNTING = re.compile(r"\bhow (?:many|much|long|old|often)\b", re.IGNORECASE)
_LISTING = re.compile(
    r"\b(?:what|which)\s+(?:\w+\s+){0,2}?\w+s\b|\bhow many\b|\bha(?:s|ve)\b|\ball\b|\bever\b|\bboth\b", re.IGNORECASE
)
_SENTENCE = re.compile(r"(?<=[.!?…。！？])\s+|(?<=[。！？])|\n+")


@dataclass(frozen=True, slots=True)
class Query:
    """A message taken apart. `texts` are to be embedded (kind "query") and given to `rank` in this order.

    They are the message and, where it says other things too, its questions alone, which count for more.
    `terms` are (term id, weight); `speaker` is the one it is about, if it is about one; `listing`: it asks for
    several things that may lie far apart; `when`: it asks for a time; `counting`: for a
    number.
    """

    text: str
    texts: tuple[str, ...]
    terms: tuple[tuple[int, int], ...]
    speaker: str | None
    dates: tuple[NamedDate, ...]
    listing: bool
    when: bool
    counting: bool


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
    if len(text) > MAX_CHARACTERS:
        text = f"{text[: MAX_CHARACTERS // 4]} {text[-MAX_CHARACTERS * 3 // 4 :]}"
    asked = _questions(text)
    whole, dates = _plain(text, speakers)
    question, _ = _plain(asked, speakers)
    whole = whole or text.strip() or " "
    terms = Counter(term_ids(whole))
    for term in term_ids(question):
        terms[term] += ASKED
    return Query(
        text=text,
        texts=tuple(_shortened(part) for part in (whole, question) if part),
        terms=tuple(terms.items()),
        speaker=_about(asked or text, speakers, asker),
        dates=dates,
        listing=_LISTING.search(question or whole) is not None,
        when=_WHEN.search(question or whole) is not None,
        counting=_COUNTING.search(question or whole) is not None,
    )


def _plain(text: str, speakers: tuple[str, ...]) -> tuple[str, tuple[NamedDate, ...]]:
    """`text` without names, dates and words spent on asking, and the dates."""
    rest, dates = find_dates(_TOLD.sub(" ", _AIDE.sub(" ", text)))
    return _without_names(rest, speakers), dates


def _questions(text: str) -> str:
    """The sentences of `text` that ask; nothing where all of them do, or none."""
    sentences = [sentence for sentence in _SENTENCE.split(text) if sentence and sentence.strip()]
    asking = [sentence for sentence in sentences if "?" in sentence or "？" in sentence]
    return " ".join(asking) if len(asking) < len(sentences) else ""


def _shortened(text: str) -> str:
    """The end of a long text, which is what a message comes to."""
    if len(text) <= MAX_DENSE_CHARACTERS:
        return text
    end = text[-MAX_DENSE_CHARACTERS:]
    return end.partition(" ")[2] or end


def _about(text: str, speakers: tuple[str, ...], asker: int | None) -> str | None:
    """The one speaker whom the names, or else the pronouns, point to."""
    said = re.findall(r"\w+", re.sub(r"['’]\w+", "", text))
    named = [name for name in speakers if any(_calls(word, name) for word in said)]
    if named or asker is None or len(speakers) != 2:
        return named[0] if len(named) == 1 else None
    pronouns = set(re.findall(r"\w+", _TOLD.sub(r"\1", _AIDE.sub(" ", text)).lower()))
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
    text = re.sub(r"\s+([,.?!])", r"\1", re.sub(r"\s+", " ", text))
    return re.sub(r",+([,.?!])", r"\1", text).strip(" ,")
