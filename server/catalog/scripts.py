"""The Lua scripts, each one atomic step of the catalog, loaded from `lua/`."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import redis.asyncio

from server.stores.errors import store_errors

STORE = "catalog"
NAMES = ("erase", "grant", "later", "revoke", "untold", "wear", "worn", "write")


class Scripts:
    """Runs scripts by name against the state store.

    Their source is constant: what people write goes in as arguments only, never into the source.
    """

    def __init__(self, state: redis.asyncio.Redis) -> None:
        folder = files("server.catalog").joinpath("lua")
        shared = folder.joinpath("_shared.lua").read_text("utf-8")
        self._scripts = {
            name: state.register_script(f"{shared}\n{folder.joinpath(f'{name}.lua').read_text('utf-8')}")
            for name in NAMES
        }

    async def run(self, name: str, keys: Sequence[str] = (), *args: str | int) -> Any:
        """What the script returns.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        with store_errors(STORE):
            return await self._scripts[name](keys=list(keys), args=list(args))
