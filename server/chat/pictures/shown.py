"""Which conversations show which preview: one that a message shows is not thrown away, one that none shows is."""

from collections.abc import Collection, Iterable, Sequence
from typing import cast

from redis.asyncio import Redis

from server.chat.beside import Removed
from server.chat.pictures.keys import SHOWN, Keys
from server.errors import NotFound
from server.ids import Scope, parse_scope
from server.memory.messages import Alternative, Status
from server.memory.service import Memory
from server.stores.errors import store_errors

__all__ = ["ShownPictures"]


class ShownPictures:
    """Notes a preview's key with the message that shows it.

    A removed message takes its notes along; a version that was put in another's place does not, so whoever asks here
    has it looked up whether the message still shows the picture. The notes hold keys and ids, and nobody's words.
    """

    def __init__(self, state: Redis, memory: Memory) -> None:
        self._state = state
        self._memory = memory

    async def note(self, scope: Scope, message_id: str, key: str) -> None:
        """Notes that a message shows a preview; before it does, so that nobody throws it away in between."""
        member = f"{key} {scope} {message_id}"
        async with self._state.pipeline(transaction=True) as pipe:
            pipe.zadd(SHOWN, {member: 0})
            pipe.sadd(Keys.in_scope(scope).shown, member)
            with store_errors("pictures"):
                await pipe.execute()

    async def among(self, keys: Collection[str]) -> set[str]:
        """Those of `keys` that a message still shows."""
        found: set[str] = set()
        for key in keys:
            with store_errors("pictures"):
                members = await self._state.zrangebylex(SHOWN, f"[{key} ", f"({key}!")  # '!' follows ' '
            for member in map(str, members):
                if await self._still(member):
                    found.add(key)
                    break
        return found

    async def gone(self, scope: Scope, removed: Removed) -> set[str]:
        """Takes out what messages showed that were removed: the keys that no message shows now."""
        with store_errors("pictures"):
            members = cast(Iterable[str], await self._state.smembers(Keys.in_scope(scope).shown))
        notes = [member.split(" ") for member in members]
        out = [note for note in notes if note[1] == str(scope) and removed(note[2])]
        await self._forget(scope, [" ".join(note) for note in out])
        keys = {key for key, _, _ in out}
        return keys - await self.among(keys)

    async def erase(self, tenant: str, user: str, character: str | None = None) -> set[str]:
        """Takes out a person's notes, of one conversation or of all; the keys that were in them."""
        own = Keys.of(tenant, user).shown
        with store_errors("pictures"):
            found = map(str, await self._state.smembers(own))
            scope = None if character is None else str(Scope(tenant, user, character))
            members = [member for member in found if scope in (None, member.split(" ")[1])]
            if members:
                await self._state.zrem(SHOWN, *members)
                await self._state.srem(own, *members)
        return {member.split(" ")[0] for member in members}

    async def _still(self, member: str) -> bool:
        """Whether a noted message is there and shows its picture; a note that holds no longer goes."""
        key, owner, message_id = member.split(" ")
        scope = parse_scope(owner)
        try:
            message = await self._memory.message(scope, message_id)
        except NotFound:
            pass
        else:
            # a note comes before its picture: a reply that is being made may be about to show it
            if any(_shows(one, key) or one.status is Status.PENDING for one in message.alternatives):
                return True
        await self._forget(scope, [member])
        return False

    async def _forget(self, scope: Scope, members: Sequence[str]) -> None:
        if not members:
            return
        async with self._state.pipeline(transaction=True) as pipe:
            pipe.zrem(SHOWN, *members)
            pipe.srem(Keys.in_scope(scope).shown, *members)
            with store_errors("pictures"):
                await pipe.execute()


def _shows(alternative: Alternative, key: str) -> bool:
    return alternative.picture is not None and alternative.picture.key == key
