"""The Lua scripts, each one atomic step of a conversation, loaded from `lua/`."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import redis.asyncio

from server.stores.errors import store_errors

NAMES = (
    "append",
    "before",
    "claim",
    "clear",
    "close",
    "cut",
    "defer",
    "derived",
    "doom",
    "drop",
    "drop_from",
    "forget_keys",
    "head",
    "locate",
    "pin",
    "put",
    "register",
    "summary",
    "swap",
    "swept",
    "unsummary",
)


class Scripts:
    """Runs scripts by name against the state store.

    Their source is constant: what people write goes in as arguments only, never into the source.
    """

    def __init__(self, client: redis.asyncio.Redis) -> None:
        folder = files("server.memory").joinpath("lua")
        shared = folder.joinpath("_shared.lua").read_text("utf-8")
        self._scripts = {
            name: client.register_script(f"{shared}\n{folder.joinpath(f'{name}.lua').read_text('utf-8')}")
            for name in NAMES
        }

    async def run(self, name: str, keys: Sequence[str], *args: str | int | float) -> Any:
        """What the script returns.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        with store_errors("memory"):
            return await self._scripts[name](keys=list(keys), args=list(args))
