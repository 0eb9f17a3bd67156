"""Fills a data folder with conversations that are already there, for `bench.turn`.

Through the stores' own record format, not through chat: a hundred thousand windows would take hours to embed. Texts are
English words drawn by frequency, vectors are random directions.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files

import numpy as np

from server.datafolder import DataFolder
from server.ids import Scope, message_id, new_id
from server.memory.codec import compact
from server.memory.embedding import Embedder
from server.memory.keys import SCOPES, Keys
from server.memory.log import WindowRef
from server.memory.messages import Alternative, Message, Role
from server.memory.records import WindowRecord, window_to_record
from server.settings import Settings
from server.stores.chroma import ChromaShards, Record, open_chroma
from server.stores.redis import RedisPair, open_redis

EPOCH = 1
WORDS_PER_MESSAGE = 20
_BATCH = 400
_START = datetime(2025, 1, 1, tzinfo=UTC)


def vocabulary(rng: np.random.Generator) -> list[str]:
    """The English words of a sample character, in a random order."""
    text = files("server.catalog").joinpath("samples", "halina-wrobel.json").read_text("utf-8")
    words = sorted(set(re.findall(r"[a-z]{2,}", text)))
    return [words[place] for place in rng.permutation(len(words))]


def sentences(rng: np.random.Generator, words: list[str]) -> Iterator[str]:
    """Endless messages of twenty words; the n-th word is drawn with weight 1 / (n + 10)."""
    weights = 1.0 / (np.arange(len(words)) + 10.0)
    while True:
        ranks = rng.choice(len(words), (512, WORDS_PER_MESSAGE), p=weights / weights.sum())
        yield from (" ".join(words[rank] for rank in row) for row in ranks)


async def seed(settings: Settings, embedder: Embedder, scopes: list[Scope], windows: int, seed: int = 7) -> None:
    """Gives each conversation `windows` closed windows of `settings.window_messages` messages."""
    rng = np.random.default_rng(seed)
    texts = sentences(rng, vocabulary(rng))
    with DataFolder(settings.data).open() as folder:
        async with (
            open_redis(settings, folder) as redis,
            open_chroma(settings, folder, dim=embedder.dim, embedder_id=embedder.id) as chroma,
        ):
            for scope in scopes:
                await _conversation(scope, windows, settings.window_messages, texts, rng, embedder.dim, redis, chroma)
            await chroma.check()


async def _conversation(
    scope: Scope,
    windows: int,
    size: int,
    texts: Iterator[str],
    rng: np.random.Generator,
    dim: int,
    redis: RedisPair,
    chroma: ChromaShards,
) -> None:
    keys, refs = Keys.of(scope), []
    batch: list[Record] = []
    for index in range(windows):
        messages = tuple(_message(index * size + place + 1, next(texts)) for place in range(size))
        vectors = rng.standard_normal((size, dim), np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        window = WindowRecord(new_id("win"), EPOCH, messages, vectors)
        refs.append(WindowRef.of(window.id, messages).raw)
        batch.append(window_to_record(scope, window))
        if len(batch) == _BATCH or index == windows - 1:
            await chroma.add(str(scope), batch)
            batch = []
    last = _START + timedelta(minutes=windows * size)
    meta = {"epoch": EPOCH, "next_seq": windows * size + 1, "rev": 0, "last_at": last.isoformat()}
    async with redis.state.pipeline(transaction=True) as pipe:
        pipe.hset(keys.meta, mapping={**meta, "names": compact(["Owner", "Character"])})
        pipe.rpush(keys.windows, *refs)
        pipe.zadd(SCOPES, {str(scope): 0})
        await pipe.execute()


def _message(seq: int, text: str) -> Message:
    role = Role.USER if seq % 2 else Role.ASSISTANT
    created = _START + timedelta(minutes=seq)
    wrote = "seeded" if role is Role.ASSISTANT else None  # a reply of a model, which the content gate need not read
    return Message(message_id(EPOCH, seq), seq, role, created, (Alternative(text, created, model=wrote),))
