"""What people type, made safe to keep: no control characters, nothing that cannot be written as UTF-8."""

import re
import unicodedata

from server.errors import InvalidRequest, TooLarge

__all__ = ["clean_name", "clean_text", "visible"]

NAME_CHARACTERS = 80
# C0 but tab and newline, DEL and C1: nothing a person types, and terminals obey them
_CONTROLS = re.compile("[\x01-\x08\x0b-\x1f\x7f-\x9f]")
_UNWRITABLE = re.compile("[\x00\ud800-\udfff]")
# these turn the text around them over, and with it whatever a page shows beside a name
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")


def clean_text(text: str, *, limit: int, what: str = "message") -> str:
    """`text` with every line end a newline and without control characters.

    `limit` is in bytes of UTF-8, of the text as it was sent.

    Raises:
        InvalidRequest: nothing visible is in it, or it holds NUL or half a surrogate pair.
        TooLarge: it is longer than `limit`.
    """
    if _UNWRITABLE.search(text):
        raise InvalidRequest(
            f"The {what} holds characters that are not text (NUL or half a surrogate pair).", field=what
        )
    size = len(text) if text.isascii() else len(text.encode())
    if size > limit:
        raise TooLarge(
            f"The {what} is too long: {size:,} bytes, and at most {limit:,} are taken.", field=what, limit=limit
        )
    cleaned = _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    if not visible(cleaned):
        raise InvalidRequest(f"The {what} is empty.", field=what)
    return cleaned


def clean_name(text: str, *, what: str = "name") -> str:
    """A name on one line: 1 to 80 characters in any script, NFC, single spaces, nothing that reorders its surroundings.

    Raises:
        InvalidRequest: nothing visible is in it, it is too long, or it holds NUL or half a surrogate pair.
    """
    cleaned = clean_text(text, limit=NAME_CHARACTERS * 40, what=what)
    cleaned = unicodedata.normalize("NFC", " ".join(_BIDI.sub("", cleaned).split()))
    if len(cleaned) > NAME_CHARACTERS:
        raise InvalidRequest(f"The {what} may have at most {NAME_CHARACTERS} characters.", field=what)
    return cleaned


def visible(text: str) -> bool:
    """Whether a person sees anything of a text."""
    return any(not c.isspace() and unicodedata.category(c) != "Cf" for c in text)
