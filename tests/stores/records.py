"""Records for tests, with vectors of the hash embedder's length."""

import numpy as np

from server.memory.embedding.hashing import HashEmbedder
from server.stores.chroma import Record

KEY = "default/ada/mira"
DIM = HashEmbedder.dim


def record(id: str, document: str = "", **metadata: str | int | float | bool) -> Record:
    """One whose vector follows from its id."""
    vector = np.random.default_rng(list(id.encode())).standard_normal(DIM).astype(np.float32)
    return Record(id, vector / np.float32(np.linalg.norm(vector)), document, {"scope": KEY} | metadata)
