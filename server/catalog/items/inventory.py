"""Who owns what: grants by the shop, gifts between people, and what is taken back."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from redis.asyncio import Redis

from server.catalog.items import limits
from server.catalog.items.codec import decode_grant, encode_grant
from server.catalog.items.items import Items
from server.catalog.items.model import Grant, How, Item, OnGrant, Owned
from server.catalog.items.telling import Teller
from server.catalog.keys import UNTOLD, UNTOLD_DUE, Keys
from server.catalog.places import check_place, place
from server.catalog.scripts import STORE, Scripts
from server.errors import Conflict, Forbidden, IdempotencyMismatch, InvalidRequest, NotFound, TooLarge, VestigeError
from server.ids import check_slug, new_id
from server.stores.errors import store_errors

__all__ = ["Granted", "Inventory", "OwnedPage"]


@dataclass(frozen=True, slots=True)
class Granted:
    """`new`: this call made the grant; else it was there, owned already or by the same idempotency key."""

    grant: Grant
    new: bool


@dataclass(frozen=True, slots=True)
class OwnedPage:
    """What somebody owns, newest first. `next` is where the following page begins, None at the end."""

    owned: Sequence[Owned]
    next: str | None


class Inventory:
    """Inventories by tenant and user. Nobody has an item twice. Every method may raise `StoreUnavailable`."""

    def __init__(
        self, state: Redis, items: Items, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._state = state
        self._scripts = Scripts(state)
        self._items = items
        self._clock = clock
        self.teller = Teller(state, clock=clock)

    def on_grant(self, hook: OnGrant) -> None:
        """`hook` hears of every grant by the shop and of every gift, from now on; see `OnGrant`."""
        self.teller.on_grant(hook)

    async def grant(
        self,
        tenant: str,
        user: str,
        item: Item,
        how: How = "granted",
        *,
        giver: str | None = None,
        key: str | None = None,
    ) -> Granted:
        """`user` owns the item from now on; with a `giver` it was theirs, and comes off what they dressed in it.

        `item` is one that whoever grants it sees. What is owned already is not granted by the shop again. With `key`,
        the same call again (within a week) answers as the first one did, whatever has become of the item since; the
        shop and each giver have keys of their own.

        Raises:
            NotFound: the item was deleted meanwhile.
            Forbidden: the giver does not own it.
            InvalidRequest: it is somebody's own upload, or giver and user are the same.
            Conflict: `user` has one already, so that a gift would vanish.
            IdempotencyMismatch: the same `key` came with another grant.
            TooLarge: the inventory is full.
        """
        check_slug(user, "user_id")
        if item.owner is not None:
            raise InvalidRequest("A private item stays with the one who made it.", field="item_id", reason="private")
        if giver == user:
            raise InvalidRequest("This is a gift to oneself.", field="to")
        now = self._clock()
        made = Grant(new_id("grant"), tenant, user, item.id, "gift" if giver is not None else how, giver, now)
        keys = Keys(tenant)
        state, raw = await self._scripts.run(
            "grant",
            (keys.items, keys.inventory(user), keys.answered(user), keys.answered_age(user), UNTOLD, UNTOLD_DUE),
            keys.prefix,
            item.id,
            user,
            giver or "",
            made.id,
            encode_grant(made),
            limits.OWNED,
            "" if key is None else _digest(giver or "", key),
            _asked(item.id, how, giver),
            limits.ANSWERS,
            limits.ANSWER_SECONDS * 1000,
        )
        if state not in ("new", "kept", "again"):
            raise _refusal(str(state), item.id)
        if state == "new":
            self.teller.wake()
        return Granted(decode_grant(str(raw)), state == "new")

    async def answered(
        self, tenant: str, user: str, item: str, how: How = "granted", *, giver: str | None = None, key: str
    ) -> Grant | None:
        """The grant that this very call made before with this `key`; None where it did not, or more than a week ago.

        Raises:
            IdempotencyMismatch: the same `key` came with another grant.
        """
        with store_errors(STORE):
            known = cast(
                str | None,
                await self._state.hget(Keys(tenant).answered(check_slug(user, "user_id")), _digest(giver or "", key)),
            )
        if known is None:
            return None
        if not known.startswith(_asked(item, how, giver)):
            raise _refusal("mismatch", item)
        return decode_grant(known[len(_asked(item, how, giver)) :])

    async def revoke(self, tenant: str, user: str, item: str) -> Grant:
        """Takes the item back; it comes off whoever has it on. Answers with the grant it had come by.

        Raises:
            NotFound: they do not own it.
            InvalidRequest: it is their own upload, which is theirs for as long as it is there.
        """
        found = await self._items.find(tenant, item)
        if found is not None and found.owner == user:
            raise InvalidRequest("This is the user's own upload: delete the item instead.", field="item_id")
        raw = await self._scripts.run("revoke", (), Keys(tenant).prefix, check_slug(user, "user_id"), item)
        if raw is None or found is None:
            raise NotFound("This user does not own this item.", item_id=item)
        return decode_grant(str(raw))

    async def owns(self, tenant: str, user: str, item: str) -> bool:
        """Whether the item is there and in the user's inventory."""
        with store_errors(STORE):
            held = await self._state.hexists(Keys(tenant).inventory(user), item)
        return bool(held) and await self._items.find(tenant, item) is not None

    async def owned(self, tenant: str, user: str, *, after: str | None = None, limit: int | None = None) -> OwnedPage:
        """What a user owns, own uploads too: all of it where there is no `limit`.

        Raises:
            InvalidId: `user` cannot be an id.
            InvalidRequest: `after` is no page's `next`.
        """
        check_place(after)
        name = Keys(tenant).inventory(check_slug(user, "user_id"))
        with store_errors(STORE):
            raws = cast(dict[str, str], await self._state.hgetall(name))
        placed = {place(grant.at, grant.item): grant for grant in map(decode_grant, raws.values())}
        places = sorted((each for each in placed if after is None or each < after), reverse=True)
        page = [placed[each] for each in places[:limit]]
        items = await self._items.found(tenant, [grant.item for grant in page])
        gone = [grant.item for grant in page if grant.item not in items]
        if gone:
            with store_errors(STORE):
                await self._state.hdel(name, *gone)  # deleted items: they count no more, and their ids never come back
        owned = [Owned(items[grant.item], grant) for grant in page if grant.item in items]
        return OwnedPage(owned, places[limit - 1] if limit is not None and places[limit:] else None)

    async def erase(self, tenant: str, user: str) -> int:
        """Takes out all that names the user but their own uploads (`Items.erase`), and answers how much they owned."""
        keys = Keys(tenant)
        return int(await self._scripts.run("erase", (UNTOLD, UNTOLD_DUE), keys.prefix, user))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _asked(item: str, how: How, giver: str | None) -> str:
    """What a grant asks for, in 64 characters."""
    return _digest(item, "gift" if giver is not None else how, giver or "")


def _refusal(state: str, item: str) -> VestigeError:
    match state:
        case "mismatch":
            return IdempotencyMismatch("This Idempotency-Key came with another grant before.", field="Idempotency-Key")
        case "no_item":
            return NotFound("There is no such item.", item_id=item)
        case "not_owned":
            return Forbidden("Only what one owns can be given away.", item_id=item, reason="not_owned")
        case "has_it":
            return Conflict("They have this item already.", item_id=item, reason="owned")
        case _:
            return TooLarge(f"An inventory holds at most {limits.OWNED:,} items.", most=limits.OWNED)
