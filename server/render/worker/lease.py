"""Keeps a job's lease alive while its render runs, and says how far it is."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

from server.ending import end
from server.errors import StoreUnavailable
from server.render.jobs.scripts import Scripts
from server.render.worker.held import Held

__all__ = ["Lost", "Unwanted", "kept"]

SHOW_SECONDS = 0.25
"""How often progress is written, at most."""
RETRY_SECONDS = 0.5
Verdict = Literal["ok", "cancel", "lost"]


class Lost(Exception):
    """The job is another worker's by now; its render goes on at the host."""


class Unwanted(Exception):
    """Nobody waits for the job any more."""


@asynccontextmanager
async def kept(scripts: Scripts, held: Held, lease_ms: int) -> AsyncIterator[None]:
    """Renews the lease until left, and breaks off what is inside where that is no use any more.

    While Redis does not answer the render goes on: the lease may be renewed late as long as nobody took the job.

    Raises:
        Lost, Unwanted: instead of whatever was being done.
    """
    inside, verdict = asyncio.current_task(), "ok"

    def stop(said: Verdict) -> None:
        nonlocal verdict
        if held.over:  # the lease went with the job
            return
        verdict = said
        if inside is not None:
            inside.cancel()

    beating = asyncio.create_task(_beat(scripts, held, lease_ms, stop), name=f"lease-{held.id}")
    try:
        yield
    except asyncio.CancelledError:
        if verdict == "ok" or inside is None or inside.uncancel() > 0:
            raise
        raise (Lost if verdict == "lost" else Unwanted) from None
    finally:
        await end([beating])


async def _beat(scripts: Scripts, held: Held, lease_ms: int, stop: Callable[[Verdict], None]) -> None:
    loop, shown, begun, due = asyncio.get_running_loop(), held.share, held.begun, 0.0
    while True:
        moved = f"{held.share:.2f}" != f"{shown:.2f}" or held.begun != begun
        if moved or loop.time() >= due:
            share, begun = held.share, held.begun
            try:
                said: Verdict = await scripts.run(
                    "beat", held.id, held.fence, lease_ms, f"{share:.2f}", "1" if begun else ""
                )
            except StoreUnavailable:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if said != "ok":
                return stop(said)
            shown, due = share, loop.time() + lease_ms / 4000
        await asyncio.sleep(SHOW_SECONDS)
