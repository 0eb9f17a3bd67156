"""Run as a program: lives a little, takes it all out, and says in which files a canary is left. `test_erase` runs it.

It is a process of its own because what a server's freed memory holds is a matter of how the process was begun.
"""

import asyncio
import hashlib
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from server.datafolder import DataFolder
from server.ids import Scope
from server.memory.embedding import HashEmbedder
from server.memory.messages import Alternative
from server.memory.service import Memory
from server.memory.views import Idempotency, MemoryOptions, Speakers
from server.settings import Settings
from server.stores.chroma import open_chroma
from server.stores.redis import open_redis
from tests.memory.fakes import Scribe, window_answer

CANARY = "CanaryKakapo7431"
NAMES = Speakers("Ann", "Mira")


async def live_a_little(memory: Memory, scope: Scope, mark: str) -> None:
    """A conversation with everything in it that is ever stored, `mark` in all of it: 24 messages."""
    for number in range(12):
        key = hashlib.sha256(f"{mark}{number}".encode()).hexdigest()
        turn = await memory.begin_turn(
            scope, f"{mark} asks {number}", speakers=NAMES, idempotency=Idempotency(key, "body")
        )
        for mode in ("fill", "add"):
            said = Alternative(f"{mark} {mode} {number}", turn.reply.created)
            await memory.finish_reply(scope, turn.epoch, turn.reply.seq, said, mode=mode)
    await memory.pin(scope, text=f"{mark} pinned")
    first = (await memory.history(scope)).messages[0]
    await memory.pin(scope, message_id=first.id)
    await memory.upkeep(scope)
    await memory.edit(scope, first.id, f"{mark} edited")
    await memory.upkeep(scope)
    await memory.set_summary(scope, f"{mark} corrected")
    assert await memory.summary(scope) is not None
    await memory.recent(scope, max_tokens=10_000)
    await memory.recall(scope, mark, speakers=NAMES, budget_tokens=500)
    await memory.idle()


async def take_out(how: str, data: Path) -> dict[str, list[str]]:
    """The files that hold the canary: "before" it is taken out, "after", and after the stores have "closed"."""
    settings, embedder = Settings(data=data, shards=2, embedder="hash"), HashEmbedder()
    ann, bob = Scope("home", "ann", "mira"), Scope("home", "bob", "mira")

    def found() -> list[str]:
        # from another process: to close a database's file in this one would drop the locks that SQLite holds on it
        done = subprocess.run(["grep", "-rlaF", CANARY, "."], cwd=data, capture_output=True, text=True)
        return sorted(done.stdout.split())

    result: dict[str, list[str]] = {}
    scribe = Scribe(window_answer(f"About {CANARY}.", f"{CANARY} is a bird."), f"All of {CANARY}.")
    with DataFolder(data).open() as folder:
        async with (
            open_redis(settings, folder) as redis,
            open_chroma(settings, folder, dim=embedder.dim, embedder_id=embedder.id) as chroma,
        ):
            options = MemoryOptions(window_messages=4, hot_messages=16)
            memory = Memory(
                redis, chroma, embedder, options=options, model=cast("Any", scribe), clock=lambda: datetime.now(UTC)
            )
            await live_a_little(memory, ann, CANARY)
            scribe.window, scribe.rolling = window_answer("About nothing."), "Nothing."
            await live_a_little(memory, bob, "Robin")
            result["before"] = found()
            match how:
                case "delete_user":
                    await memory.delete_user("home", "ann")
                case "clear":
                    await memory.clear(ann)
                case _:
                    for pin in await memory.pins(ann):
                        await memory.unpin(ann, pin.id)
                    said = (await memory.history(ann, limit=100)).messages
                    await memory.forget(ann, [message.id for message in said])
            await live_a_little(memory, bob, "Magpie")  # whose records may be made of freed memory
            await memory.purge()
            await memory.idle()
            result["after"] = found()
            assert len((await memory.history(bob, limit=100)).messages) == 48
            await memory.aclose()
    result["closed"] = found()
    return result


if __name__ == "__main__":
    folders = {how: Path(sys.argv[1]) / how for how in ("delete_user", "clear", "forget")}
    sys.stdout.write(json.dumps({how: asyncio.run(take_out(how, folder)) for how, folder in folders.items()}))
