"""Local embeddings: text to vectors, without a download and without leaving the machine."""

from typing import Literal

from server.memory.embedding.base import Embedder, EmbedderUnavailable, Kind, Vectors
from server.memory.embedding.hashing import HashEmbedder
from server.memory.embedding.minilm import MiniLmEmbedder
from server.memory.embedding.multilingual import MultilingualEmbedder

__all__ = [
    "Embedder",
    "EmbedderUnavailable",
    "HashEmbedder",
    "Kind",
    "MiniLmEmbedder",
    "MultilingualEmbedder",
    "Vectors",
    "make_embedder",
]


def make_embedder(name: Literal["english", "multilingual", "hash"], threads: int) -> Embedder:
    """The embedder that settings name. The model is loaded by `warm`, or at the first text."""
    match name:
        case "english":
            return MiniLmEmbedder(threads)
        case "multilingual":
            return MultilingualEmbedder(threads)
        case "hash":
            return HashEmbedder()
