"""What a LoRA that a server sends is called, and what can be wrong with it."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["PushError", "Version"]

_SLUG = r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?"
_CHARACTER = re.compile(rf"{_SLUG}(?:\.{_SLUG})?", re.ASCII)  # tenant.character, or the character alone
_VERSION = re.compile(r"v?([1-9][0-9]{0,5})", re.ASCII)


class PushError(Exception):
    """Something about a LoRA that is sent; the message says what to do, and `code` tells programs which it is."""

    def __init__(self, code: str, message: str, **details: object) -> None:
        super().__init__(message)
        self.code = code
        self.details = details


@dataclass(frozen=True)
class Version:
    """A character's version, by names that were checked: neither is ever a path."""

    character: str
    number: int

    @classmethod
    def named(cls, character: str, version: str) -> Version:
        """Raises `PushError` (`bad_name`) where it can be none."""
        number = _VERSION.fullmatch(version)
        if _CHARACTER.fullmatch(character) is None or number is None:
            raise PushError("bad_name", "A LoRA is named by a character (a–z, 0–9, '-', '_') and a number, such as 3.")
        return cls(character, int(number[1]))

    @property
    def file(self) -> str:
        return f"{self.character}_v{self.number}.safetensors"

    def __str__(self) -> str:
        return f"v{self.number} of {self.character}"
