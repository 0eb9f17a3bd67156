"""What a card's text may hold: no lone surrogates, no control characters, one kind of line end."""

import re
import unicodedata

_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
# Direction overrides and isolates: in a name they would turn the text around it.
_DIRECTION = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]")
_INVISIBLE = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Mn", "Me", "Zl", "Zp", "Zs"})


def no_surrogates(text: str) -> str:
    """`text` with U+FFFD for every half of a surrogate pair, so that it can be written as UTF-8."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def clean_text(text: str) -> str:
    """Text of several lines: `\\n` line ends, no control characters but tab."""
    text = no_surrogates(text).replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub("", text)


def clean_line(text: str) -> str:
    """Text of one line, such as a name: runs of white space become one space, direction marks go."""
    return " ".join(_DIRECTION.sub("", clean_text(text)).split())


def is_visible(text: str) -> bool:
    """Whether anything in `text` shows: a name of zero-width characters does not."""
    return any(unicodedata.category(letter) not in _INVISIBLE for letter in text)
