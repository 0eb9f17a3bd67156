"""What all model-backed embedders share: one thread, small batches, queries first, a cache."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from server.memory.embedding.base import Kind, Vectors
from server.memory.embedding.cache import VectorCache
from server.memory.embedding.worker import UrgentFirst

MAX_CHARACTERS = 4_000  # more than any model here reads; what comes after is not even tokenised
PASSAGES_AT_ONCE = 4  # a query waits at most for one such batch
QUERIES_AT_ONCE = 16


class ThreadedEmbedder(ABC):
    """Runs `_embed_now` off the event loop, in batches of texts of similar length.

    A subclass gives `id`, `dim`, `_load` (once, in the thread) and `_embed_now`.
    """

    id: str
    dim: int
    symmetric = False
    """Whether a text is embedded alike as a query and as a passage: then what was asked need not be embedded again."""

    def __init__(self, cache: int = 8_192) -> None:
        self._cache = VectorCache(cache)
        self._worker = UrgentFirst("embedder")
        self._loaded = False

    @abstractmethod
    def _load(self) -> None:
        """Loads the model. Raises `EmbedderUnavailable`."""

    @abstractmethod
    def _embed_now(self, texts: Sequence[str], kind: Kind) -> Vectors:
        """[n, dim] for at most a small batch, in the worker thread."""

    async def warm(self) -> None:
        await self._worker.run(0, self._ensure_loaded)

    async def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        texts = [_printable(text) for text in texts]
        keys = [VectorCache.key(text, "passage" if self.symmetric else kind) for text in texts]
        found = {key: self._cache.get(key) for key in keys}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if found[key] is None}
        by_length = sorted(missing.items(), key=lambda item: len(item[1]))
        priority, size = (0, QUERIES_AT_ONCE) if kind == "query" else (1, PASSAGES_AT_ONCE)
        for start in range(0, len(by_length), size):
            batch = by_length[start : start + size]
            vectors = await self._worker.run(priority, lambda batch=batch: self._batch([t for _, t in batch], kind))
            for (key, _), vector in zip(batch, vectors, strict=True):
                found[key] = vector
                self._cache.put(key, vector)
        out = np.empty((len(keys), self.dim), np.float32)
        for row, key in enumerate(keys):
            out[row] = found[key]
        return out

    def close(self) -> None:
        self._worker.close()

    def _ensure_loaded(self) -> None:
        if not self._loaded:
            self._load()
            self._loaded = True

    def _batch(self, texts: Sequence[str], kind: Kind) -> Vectors:
        self._ensure_loaded()
        return self._embed_now(texts, kind)


def _printable(text: str) -> str:
    """Lone surrogates and NULs break tokenizers and C strings; nothing is lost by dropping them."""
    return text[:MAX_CHARACTERS].encode("utf-8", "ignore").decode().replace("\0", " ")
