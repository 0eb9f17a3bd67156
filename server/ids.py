"""Ids and the scope every record carries. An id is never a path."""

import re
import secrets
from dataclasses import dataclass

from server.errors import InvalidId, NotFound

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?")
_MESSAGE_ID = re.compile(r"([1-9][0-9]{0,14})-([1-9][0-9]{0,14})")


def check_slug(value: object, what: str) -> str:
    """`value` if it is an id: 1 to 64 of a-z, 0-9, `_`, `-`, beginning and ending with a letter or digit.

    Raises:
        InvalidId: anything else.
    """
    if not isinstance(value, str) or not _SLUG.fullmatch(value):
        raise InvalidId(
            f"The {what} must be 1 to 64 of a-z, 0-9, '-' and '_', and begin and end with a letter or digit.",
            field=what,
        )
    return value


def new_id(prefix: str) -> str:
    """A fresh random id such as `win-3kq0…`: 80 bits, a valid slug."""
    return f"{prefix}-{secrets.token_hex(10)}"


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose conversation: a tenant's user with one character. Each part is a slug.

    Raises:
        InvalidId: a part is not an id.
    """

    tenant: str
    user: str
    character: str

    def __post_init__(self) -> None:
        check_slug(self.tenant, "tenant")
        check_slug(self.user, "user_id")
        check_slug(self.character, "character_id")

    def __str__(self) -> str:
        return f"{self.tenant}/{self.user}/{self.character}"

    @property
    def owner(self) -> str:
        """`tenant/user`: what a person's export and deletion go by."""
        return f"{self.tenant}/{self.user}"


def parse_scope(text: str) -> Scope:
    """The scope that `str(scope)` wrote."""
    tenant, user, character = text.split("/")
    return Scope(tenant, user, character)


def message_id(epoch: int, seq: int) -> str:
    """A message's id within its conversation: `epoch-seq`, so a reset makes every old id unknown."""
    return f"{epoch}-{seq}"


def parse_message_id(value: object) -> tuple[int, int]:
    """`(epoch, seq)` of a message id.

    Raises:
        NotFound: no message can have this id.
    """
    match = _MESSAGE_ID.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise NotFound("There is no message with this id.", field="message_id")
    return int(match[1]), int(match[2])
