"""The Lua scripts of jobs, each one atomic step, loaded from `lua/`."""

from importlib.resources import files
from typing import Any

from redis.asyncio import Redis

from server.stores.errors import store_errors

PREFIX = "vestige:{render}:"
STORE = "jobs"
NAMES = (
    *("ask", "back", "beat", "cancel", "discard", "done", "fail", "heads", "lease", "look", "replay", "sweep"),
    *("forget", "forget_strangers", "forgetting", "forgotten"),
)


class Scripts:
    """Runs scripts by name. Their source is constant: what comes from outside goes in as arguments only."""

    def __init__(self, state: Redis) -> None:
        self.state = state
        folder = files("server.render.jobs").joinpath("lua")
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


def key(*parts: str | int) -> str:
    """The name of a key, for those who only read."""
    return PREFIX + ":".join(str(part) for part in parts)
