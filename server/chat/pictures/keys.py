"""Names of the keys that pictures in conversations have in the state Redis."""

from dataclasses import dataclass

from server.ids import Scope

SHOWN = "vestige:pictures:shown"
"""Sorted set of `preview scope message`, all with score 0: a range by name finds who shows a preview."""


@dataclass(frozen=True, slots=True)
class Keys:
    """One person's keys."""

    prefix: str

    @classmethod
    def of(cls, tenant: str, user: str) -> "Keys":
        return cls(f"vestige:pictures:{tenant}:{user}:")

    @classmethod
    def in_scope(cls, scope: Scope) -> "Keys":
        return cls.of(scope.tenant, scope.user)

    @property
    def shown(self) -> str:
        """Set of the members that this person has in `SHOWN`."""
        return self.prefix + "shown"

    @property
    def given(self) -> str:
        """Hash: `character item` → when it was given to the character (ISO 8601, UTC) and in which message."""
        return self.prefix + "given"

    @property
    def news(self) -> str:
        """Hash: grant → its item, until a companion could be told of it."""
        return self.prefix + "news"

    @property
    def told(self) -> str:
        """Hash: grant → the character that is told of it, so that no second one is."""
        return self.prefix + "told"

    def all(self) -> tuple[str, ...]:
        return (self.shown, self.given, self.news, self.told)
