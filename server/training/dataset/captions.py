"""Captions: what is in them, what they should not say, and which framing they tell of."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Framing = Literal["face", "body"]

ALWAYS = 0.8
"""A tag in so large a share of the captions says what never changes."""
LEAST = 5
"""Below so many captions "nearly all" means nothing."""
_CLASS_WORDS = (
    "1girl 1boy solo woman man girl boy person female male photo portrait photograph illustration anime realistic "
    "a an the of in on at with and her his their she he they is are to"
)
CLASS_WORDS = frozenset(_CLASS_WORDS.split())
"""What may well be in every caption: the kind of subject and of picture, and little words."""
_FACE = re.compile(r"\b(close[- ]?up|portrait|face|head ?shot|headshot|upper body|bust|shoulders)\b", re.IGNORECASE)
_BODY = re.compile(
    r"\b(full[- ]?body|full[- ]?length|whole figure|standing|walking|running|sitting|kneeling|lying|feet|shoes)\b",
    re.IGNORECASE,
)
_TOKENS = re.compile(r"[^\W\d_]+|\d|[^\s\w]+")


@dataclass(frozen=True, slots=True)
class Caption:
    """A caption's first line, which is all that the trainer reads. `problem`: the kind of finding that it is."""

    text: str
    problem: str | None = None


def read_caption(path: Path) -> Caption:
    """The caption in a file; where there is none, its problem says so."""
    try:
        data = path.read_bytes()[: 1 << 16]
    except FileNotFoundError:
        return Caption("", "no_caption")
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        return Caption("", "not_utf8")
    said = [line.strip().removeprefix("\ufeff") for line in lines]
    if not said or not said[0]:
        return Caption("", "empty_caption")
    return Caption(said[0], "more_lines" if any(said[1:]) else None)


def names_in(text: str, names: Collection[str]) -> list[str]:
    """Which of these names a caption says, as whole words, each once, in either spelling of case."""
    once = {name.lower(): name for name in names}.values()
    return [name for name in once if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE)]


def names_of(folder: str) -> list[str]:
    """The words of a folder's name that are names: `halina_wrobel` → both."""
    words = [word for word in re.split(r"[\s_\-.]+", folder) if len(word) > 2]
    return [word for word in words if word.lower() not in CLASS_WORDS]


def always_said(captions: Sequence[str]) -> list[tuple[str, int]]:
    """Tags (or words, where captions are sentences) that nearly every caption has, with how many have them."""
    if len(captions) < LEAST:
        return []
    counts: Counter[str] = Counter()
    for caption in captions:
        counts.update(set(_parts(caption)))
    least = max(LEAST, ALWAYS * len(captions))
    return [(word, count) for word, count in counts.most_common() if count >= least]


def framing(text: str) -> Framing | None:
    """What a caption says of how close the picture is; None where it does not say."""
    if _BODY.search(text):
        return "body"
    return "face" if _FACE.search(text) else None


def about_tokens(text: str) -> int:
    """About how many of CLIP's tokens a caption is: long words have two. CLIP itself is not here to be asked."""
    return sum(1 + len(part) // 9 for part in _TOKENS.findall(text))


def _parts(caption: str) -> Iterator[str]:
    tags = [tag.strip().lower() for tag in caption.split(",")]
    if len(tags) >= 3 and sum(len(tag.split()) for tag in tags) / len(tags) <= 4:
        yield from (tag for tag in tags if tag and not set(tag.split()) <= CLASS_WORDS)
    else:
        yield from (word for word in re.findall(r"\w+", caption.lower()) if word not in CLASS_WORDS and len(word) > 2)
