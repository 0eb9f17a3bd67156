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
    embedder = make_embedder("english", threads=1)
    try:
        return [await _embed(conversation, embedder, cache) for conversation in conversations]
    finally:
        embedder.close()


async def _embed(conversation: Conversation, embedder: Embedder, cache: Path | None) -> Embedded:
    texts = [embedding_text(line.speaker, line.text, conversation.speakers) for line in conversation.lines]
    vectors = await _cached(texts, "passage", embedder, cache)
    index = ConversationIndex.build(
        [
            IndexedTurn(line.seq, line.speaker, line.text, line.created, vector)
            for line, vector in zip(conversation.lines, vectors, strict=True)
        ]
    )
    queries = [parse_query(question.text, conversation.speakers, asker=None) for question in conversation.questions]
    flat = await _cached([text for query in queries for text in query.texts], "query", embedder, cache)
    ends = np.cumsum([len(query.texts) for query in queries])
    parts = np.split(flat, ends[:-1])
    return Embedded(conversation, index, list(zip(conversation.questions, queries, parts, strict=True)))


async def _cached(texts: list[str], kind: Kind, embedder: Embedder, cache: Path | None) -> NDArray[np.float32]:
    name = hashlib.sha256("\0".join([embedder.id, kind, *texts]).encode()).hexdigest()[:24]
    known = _kept(cache, name)
    if known is not None:
        return known
    vectors = await embedder.embed(texts, kind)
    _keep(cache, name, vectors)
    return vectors


def _kept(cache: Path | None, name: str) -> NDArray[np.float32] | None:
    path = cache / f"{name}.npy" if cache else None
    return np.load(path) if path and path.exists() else None


def _keep(cache: Path | None, name: str, vectors: NDArray[np.float32]) -> None:
    if cache is not None:
        cache.mkdir(parents=True, exist_ok=True)
        np.save(cache / f"{name}.npy", vectors)
