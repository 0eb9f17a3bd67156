"""The memory service over a Redis and a Chroma of its own, in a folder that is gone afterwards."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from bench.locomo import Conversation
from bench.scoring import Recall, Recalled
from server.datafolder import DataFolder
from server.ids import Scope, parse_message_id
from server.memory.embedding import Embedder
from server.memory.messages import Role
from server.memory.service import Memory
from server.memory.views import MemoryOptions, Speakers
from server.settings import Settings
from server.stores.chroma import open_chroma
from server.stores.redis import open_redis


@asynccontextmanager
async def open_memory(embedder: Embedder, window_messages: int) -> AsyncIterator[Memory]:
    """A service without a language model: no summaries, no facts, only what was said."""
    with tempfile.TemporaryDirectory(prefix="vestige-bench-") as temporary:
        settings = Settings(data=Path(temporary) / "data")
        with DataFolder(settings.data).open() as folder:
            async with (
                open_redis(settings, folder) as redis,
                open_chroma(settings, folder, dim=embedder.dim, embedder_id=embedder.id) as chroma,
            ):
                options = replace(MemoryOptions(), window_messages=window_messages)
                memory = Memory(redis, chroma, embedder, options=options)
                try:
                    yield memory
                finally:
                    await memory.aclose()


async def tell(memory: Memory, conversation: Conversation) -> tuple[Recall, int]:
    """Appends every turn as it came, closes the windows, and gives back how to ask and how many windows there are.

    The first speaker is the user and the second the character; questions come from outside the conversation.
    """
    scope = Scope("bench", conversation.id.lower(), "character")
    speakers = Speakers(*conversation.speakers)
    turn_of: dict[int, int] = {}
    for line in conversation.lines:
        role = Role.USER if line.speaker == speakers.user else Role.ASSISTANT
        message = await memory.append(scope, role, line.text, at=line.created, speakers=speakers)
        turn_of[message.seq] = line.seq
    await memory.upkeep(scope)
    end = conversation.lines[-1].created

    async def recall(question: str, budget: int) -> Recalled:
        found = await memory.recall(scope, question, speakers=speakers, budget_tokens=budget, asker=None, now=end)
        seqs = frozenset(turn_of[parse_message_id(turn.message_id)[1]] for span in found.spans for turn in span.turns)
        return Recalled(seqs, found.tokens)

    return recall, (await memory.windows(scope, limit=1)).total
