"""An id from a character's name."""

import secrets
import unicodedata
from collections.abc import Callable

from server.errors import InvalidId
from server.ids import check_slug

# Letters that Unicode does not take apart into a plain one and a mark.
_LATIN = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "ł": "l", "ı": "i", "ħ": "h", "ŋ": "ng"}
)
_LONGEST = 48  # leaves room for a number within the 64 of an id
_TRIES = 100
RESERVED = frozenset({"import", "export", "greeting"})  # words of the HTTP interface


def is_slug(name: str) -> bool:
    """Whether a name is an id already."""
    try:
        check_slug(name, "name")
    except InvalidId:
        return False
    return True


def slug(name: str) -> str | None:
    """`name` in a-z, 0-9 and `-`, at most 48 characters; None for a name in another alphabet."""
    plain = unicodedata.normalize("NFKD", name).casefold().translate(_LATIN)
    letters = "".join(letter if letter.isascii() and letter.isalnum() else " " for letter in plain if ord(letter) < 128)
    foreign = sum(1 for letter in plain if letter.isalpha() and not letter.isascii())
    result = "-".join(letters.split())[:_LONGEST].strip("-")
    return result if result and not foreign else None


def free_id(name: str, taken: Callable[[str], bool]) -> str:
    """An id for a character of this name: `halina`, `halina-2` …, or `char-4f1c09` where the name gives none."""
    base = slug(name)
    if base is not None:
        for number in range(1, _TRIES):
            candidate = base if number == 1 else f"{base}-{number}"
            if candidate not in RESERVED and not taken(candidate):
                return candidate
    while True:
        candidate = f"{base or 'char'}-{secrets.token_hex(4)}"
        if not taken(candidate):
            return candidate
