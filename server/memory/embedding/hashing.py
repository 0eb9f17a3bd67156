"""Vectors from hashed letter groups: no model, no meaning."""

import zlib
from collections.abc import Sequence

import numpy as np

from server.memory.embedding.base import Kind, Vectors

DIM = 64
LETTERS = 4


class HashEmbedder:
    """Counts of hashed groups of four letters, scaled to length 1.

    It sees that two texts share letters and nothing else. It is for tests of everything *but* the quality of recall:
    instant, the same on every machine, and without a model's memory.
    """

    id = "hash:4-grams:64:1"
    dim = DIM

    async def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        out = np.zeros((len(texts), DIM), np.float32)
        for row, text in enumerate(texts):
            padded = f" {' '.join(text.lower().split())} "
            for start in range(max(1, len(padded) - LETTERS + 1)):
                code = zlib.crc32(padded[start : start + LETTERS].encode("utf-8", "surrogatepass"))
                out[row, code % DIM] += 1.0 if code & 0x10000 else -1.0
            if not out[row].any():
                out[row, 0] = 1.0
        return out / np.linalg.norm(out, axis=1, keepdims=True)

    async def warm(self) -> None:
        return None

    def close(self) -> None:
        return None
