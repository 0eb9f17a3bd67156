"""A bounded memory of vectors by the hash of their text."""

import hashlib
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from server.memory.embedding.base import Kind


class VectorCache:
    """Least recently used vectors go first. Keys are hashes, so that no one's words linger here; event loop only."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity  # vectors; 384 float32 are 1.5 KB
        self._vectors: OrderedDict[bytes, NDArray[np.float32]] = OrderedDict()

    @staticmethod
    def key(text: str, kind: Kind) -> bytes:
        return hashlib.blake2b(f"{kind}\0{text}".encode("utf-8", "surrogatepass"), digest_size=16).digest()

    def get(self, key: bytes) -> NDArray[np.float32] | None:
        vector = self._vectors.get(key)
        if vector is not None:
            self._vectors.move_to_end(key)
        return vector

    def put(self, key: bytes, vector: NDArray[np.float32]) -> None:
        self._vectors[key] = vector
        self._vectors.move_to_end(key)
        while len(self._vectors) > self.capacity:
            self._vectors.popitem(last=False)

    def __len__(self) -> int:
        return len(self._vectors)
