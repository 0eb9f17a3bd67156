"""Who is asking, and whom they may act for."""

from dataclasses import dataclass
from typing import Literal

from server.errors import Forbidden, InvalidRequest
from server.ids import check_slug

Kind = Literal["owner", "session", "key", "token"]
Role = Literal["owner", "admin", "member", "service"]

HOME = "home"
"""The tenant of the owner and of everyone who shares this server."""
OWNER = "owner"
"""The owner's user id."""

SCOPES = frozenset({"chat", "memory", "characters", "catalog", "recall", "remember", "admin"})
PERSONAL = SCOPES - {"admin"}
"""What every person who is signed in may do with what is theirs."""


def scopes_of(role: Role) -> frozenset[str]:
    """The scopes a person has through their role."""
    return SCOPES if role in ("owner", "admin") else PERSONAL


@dataclass(frozen=True, slots=True)
class Principal:
    """A credential that was checked, and what the server's own records say about it.

    `user` is None for an API key that is not bound to one person: such a key names a user in every request.
    `credential` is an id that may be logged: `owner`, `session:home/anna-3kq0z`, `key:8f3k2m9q`,
    `token:shop/anna`.
    """

    tenant: str
    user: str | None
    name: str
    role: Role
    scopes: frozenset[str]
    tier: str
    kind: Kind
    credential: str

    @property
    def is_admin(self) -> bool:
        return "admin" in self.scopes

    @property
    def keeps_shop(self) -> bool:
        """Whether it looks after the shop's items and grants them: an admin, or a service's key for the catalog."""
        return self.is_admin or (self.user is None and "catalog" in self.scopes)

    def need(self, scope: str) -> None:
        """Raises:
        Forbidden: the credential has no such scope.
        """
        if scope not in self.scopes:
            raise Forbidden(f"This credential may not do that: it lacks the scope '{scope}'.", scope=scope)

    def acts_for(self, user_id: str | None) -> str:
        """The user this request is about; `user_id` is whom the request names, if anyone.

        Raises:
            InvalidId: `user_id` cannot be an id.
            InvalidRequest: nobody is named, and the credential belongs to nobody.
            Forbidden: somebody else is named, and the credential has no scope for it.
        """
        if user_id is None:
            if self.user is None:
                raise InvalidRequest(
                    "This API key is not bound to a user: name one with user_id.", field="user_id", reason="user_needed"
                )
            return self.user
        check_slug(user_id, "user_id")
        if user_id == self.user or self.user is None or self.is_admin:
            return user_id
        raise Forbidden("This credential may only act for its own user.", field="user_id")
