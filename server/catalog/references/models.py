"""A reference: the picture of an item, known by the sha256 of what is stored."""

import re
from dataclasses import dataclass
from typing import Literal

from server.errors import NotFound

__all__ = ["Finding", "FindingKind", "Reference", "check_sha256"]

FindingKind = Literal["busy_background", "person", "small", "cropped"]

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Finding:
    """What will hurt the pictures made with a reference. `text`: one sentence that says what to do about it."""

    kind: FindingKind
    text: str


@dataclass(frozen=True, slots=True)
class Reference:
    """A stored picture: PNG, RGB, upright, without metadata. `width` and `height` in pixels, `bytes` as stored."""

    sha256: str
    width: int
    height: int
    bytes: int
    findings: tuple[Finding, ...] = ()


def check_sha256(value: str) -> str:
    """`value` if it can be the name of a reference.

    Raises:
        NotFound: it cannot, so there is none.
    """
    if not _SHA256.fullmatch(value):
        raise NotFound("There is no such reference: it is named by 64 characters of 0-9 and a-f.")
    return value
