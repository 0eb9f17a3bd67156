"""Finding a character's name in a prompt, where it must not stand.

The LoRA brings the face. A name beside it pulls towards whoever the checkpoint's training pictures called so, and an
outfit's prompt says what is in the picture, not who.
"""

import re
import unicodedata
from collections.abc import Collection

from server.catalog.cards import Card

__all__ = ["names_in", "names_of", "without_names"]

_TITLES = frozenset(
    {"the", "a", "an", "dr", "doctor", "mr", "mrs", "ms", "miss", "mister", "sir", "lady", "lord", "dame", "madame"}
    | {"captain", "professor", "prof", "king", "queen", "prince", "princess", "saint", "st"}
)
_SHORTEST = 3  # letters of a first name that counts by itself
_NO_LETTER_BEFORE, _NO_LETTER_AFTER = r"(?<![^\W_])", r"(?![^\W_])"
_UNSPACED = ("CJK ", "HIRAGANA ", "KATAKANA ", "HANGUL ", "THAI ", "LAO ", "KHMER ", "MYANMAR ")


def names_of(card: Card) -> tuple[str, ...]:
    """What people call the character: its whole name, its nickname, and its first name without a title."""
    words = [word for word in card.name.split() if _plain(word).strip(".") not in _TITLES]
    first = words[0] if words and len(words[0]) >= _SHORTEST else ""
    return tuple(dict.fromkeys(name for name in (card.name, card.nickname, first) if _plain(name).strip()))


def names_in(text: str, names: Collection[str]) -> list[str]:
    """Those of `names` that stand in `text` as words, whatever their case."""
    plain = _plain(text)
    return [name for name in names if _pattern(name).search(plain)]


def without_names(text: str, names: Collection[str]) -> str:
    """`text` without the names and the gaps they leave; unchanged where none is in it."""
    if not names_in(text, names):
        return text
    cut = _cut(_plain(text, fold=False), names)
    return _cut(_plain(cut), names) if names_in(cut, names) else cut  # where its case changes a letter, as in ß


def _cut(text: str, names: Collection[str]) -> str:
    for name in sorted(names, key=len, reverse=True):
        text = re.sub(_pattern(name).pattern, "", text, flags=re.IGNORECASE)
    return re.sub(r"\s+([,.;])", r"\1", " ".join(text.split())).strip(" ,")


def _pattern(name: str) -> re.Pattern[str]:
    """The name as a whole word, or anywhere where its script puts no space between words."""
    words = _plain(name).split()
    before = "" if _unspaced(words[0][0]) else _NO_LETTER_BEFORE
    after = "" if _unspaced(words[-1][-1]) else _NO_LETTER_AFTER
    return re.compile(before + r"\s+".join(re.escape(word) for word in words) + after)


def _unspaced(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith(_UNSPACED)


def _plain(text: str, *, fold: bool = True) -> str:
    """One spelling of what looks alike: compatibility forms and invisible characters go."""
    text = "".join(letter for letter in unicodedata.normalize("NFKC", text) if unicodedata.category(letter) != "Cf")
    return text.casefold() if fold else text
