"""LoCoMo conversations with their embeddings, indexed for the ranking."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.locomo import Conversation, Question
from server.memory.embedding import Embedder, Kind, make_embedder
from server.memory.ranking import ConversationIndex, IndexedTurn, Query, embedding_text, parse_query


@dataclass(frozen=True, slots=True)
class Embedded:
    source: Conversation
    index: ConversationIndex
    asked: list[tuple[Question, Query, NDArray[np.float32]]]


async def embed_all(conversations: Sequence[Conversation], cache: Path | None = None) -> list[Embedded]:
    """With the embedder the server uses. `cache`: a folder that keeps vectors by the hash of their texts."""
    embedder = CachedPassages(make_embedder("english", threads=1), cache)
    try:
        return [await _embed(conversation, embedder) for conversation in conversations]
    finally:
        embedder.close()


class CachedPassages:
    """An embedder that keeps passages on disk between runs, by the hash of their text. Queries are always embedded."""

    def __init__(self, embedder: Embedder, folder: Path | None) -> None:
        self._embedder, self._folder = embedder, folder
        self.id, self.dim = embedder.id, embedder.dim

    async def embed(self, texts: Sequence[str], kind: Kind) -> NDArray[np.float32]:
        if self._folder is None or kind == "query":
            return await self._embedder.embed(texts, kind)
        paths = [self._folder / self._name(text) for text in texts]
        missing = [(text, path) for text, path in zip(texts, paths, strict=True) if not path.exists()]
        for (_, path), vector in zip(missing, await self._embedder.embed([t for t, _ in missing], kind), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, vector)
        return np.stack([np.load(path) for path in paths]) if paths else np.empty((0, self.dim), np.float32)

    async def warm(self) -> None:
        await self._embedder.warm()

    def close(self) -> None:
        self._embedder.close()

    def _name(self, text: str) -> str:
        digest = hashlib.sha256(f"{self.id}\0{text}".encode()).hexdigest()
        return f"{digest[:2]}/{digest[2:24]}.npy"


async def _embed(conversation: Conversation, embedder: Embedder) -> Embedded:
    texts = [embedding_text(line.speaker, line.text, conversation.speakers) for line in conversation.lines]
    vectors = await embedder.embed(texts, "passage")
    index = ConversationIndex.build(
        [
            IndexedTurn(line.seq, line.speaker, line.text, line.created, vector)
            for line, vector in zip(conversation.lines, vectors, strict=True)
        ]
    )
    queries = [parse_query(question.text, conversation.speakers, asker=None) for question in conversation.questions]
    flat = await embedder.embed([text for query in queries for text in query.texts], "query")
    ends = np.cumsum([len(query.texts) for query in queries])
    parts = np.split(flat, ends[:-1])
    return Embedded(conversation, index, list(zip(conversation.questions, queries, parts, strict=True)))
