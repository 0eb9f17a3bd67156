"""Names of the catalog's keys in the state Redis. The tenant is in each; ids hold no colon, so none meets another."""

from dataclasses import dataclass

REFERENCES = "vestige:catalog:references"
"""Hash: a reference's sha256 → how many items show it, of all tenants."""
UNTOLD = "vestige:catalog:untold"
"""Hash: id → a grant, from the moment it counts until whoever wants to know has been told."""
UNTOLD_DUE = "vestige:catalog:untold:due"
"""Sorted set of the same ids by when it is tried next, in milliseconds of Redis' clock."""


@dataclass(frozen=True, slots=True)
class Keys:
    """One tenant's keys. Items and looks are hashes by id; a shelf is a sorted set that lists items in order."""

    tenant: str

    @property
    def prefix(self) -> str:
        """What all of them begin with."""
        return f"vestige:catalog:{self.tenant}:"

    def _key(self, *parts: str) -> str:
        return self.prefix + ":".join(parts)

    @property
    def items(self) -> str:
        """Hash: item → JSON, the shop's and everybody's own."""
        return self._key("items")

    @property
    def gone(self) -> str:
        """Set of the ids of items that the shop had: none comes back."""
        return self._key("gone")

    @property
    def looks(self) -> str:
        """Hash: character → JSON."""
        return self._key("looks")

    @property
    def shop(self) -> str:
        """Shelf of what everyone sees."""
        return self._key("shop")

    def category(self, category: str) -> str:
        """Shelf of the shop's items of one category."""
        return self._key("shop", category)

    @property
    def hidden(self) -> str:
        """Shelf of the shop's items that are not shown."""
        return self._key("hidden")

    def own(self, user: str) -> str:
        """Shelf of a person's own uploads."""
        return self._key("own", user)

    def inventory(self, user: str) -> str:
        """Hash: item → the grant it came by."""
        return self._key("inventory", user)

    def given(self, user: str) -> str:
        """Set of `user item`: whose inventories name this person as the giver."""
        return self._key("given", user)

    def answered(self, user: str) -> str:
        """Hash: idempotency key → what was asked, and the grant to this person that answered it."""
        return self._key("answered", user)

    def answered_age(self, user: str) -> str:
        """Sorted set of the same keys by when they came, in milliseconds of Redis' clock."""
        return self._key("answered-age", user)

    def worn(self, user: str) -> str:
        """Hash: character → item."""
        return self._key("worn", user)
