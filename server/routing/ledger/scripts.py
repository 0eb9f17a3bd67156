"""The ledger's Lua scripts, each one atomic step, loaded from `lua/`."""

from importlib.resources import files
from typing import Any

from redis.asyncio import Redis

from server.stores.errors import store_errors

PREFIX = "vestige:{money}:"
STORE = "ledger"
NAMES = ("beat", "claim", "forget", "identify", "later", "leave", "named", "question", "reserve", "settle", "void")


class Scripts:
    """Runs scripts by name. Their source is constant: what comes from outside goes in as arguments only."""

    def __init__(self, state: Redis) -> None:
        self._state = state
        folder = files("server.routing.ledger").joinpath("lua")
        shared = folder.joinpath("_shared.lua").read_text("utf-8")
        self._scripts = {
            name: state.register_script(f"{shared}\n{folder.joinpath(f'{name}.lua').read_text('utf-8')}")
            for name in NAMES
        }

    async def run(self, name: str, *args: str | int) -> Any:
        """What the script returns.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        with store_errors(STORE):
            return await self._scripts[name](keys=[PREFIX], args=list(args))

    async def drop(self, queue: str, member: str) -> None:
        """Takes a member out of a queue. Raises `StoreUnavailable`."""
        with store_errors(STORE):
            await self._state.zrem(key(queue), member)

    async def user(self, person: str) -> str | None:
        """The user id behind a pseudonym; None once the person is deleted. Raises `StoreUnavailable`."""
        with store_errors(STORE):
            name = await self._state.hget(key("names"), person)
        return None if name is None else str(name).partition("/")[2]


def key(*parts: str | int) -> str:
    """The name of a key of the ledger, for those who only read."""
    return PREFIX + ":".join(str(part) for part in parts)
