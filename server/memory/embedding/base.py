"""What an embedder promises, and the error for one that cannot run here."""

from collections.abc import Sequence
from typing import ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from server.errors import StartupError

Kind = Literal["query", "passage"]
Vectors = NDArray[np.float32]


class EmbedderUnavailable(StartupError):
    """The chosen embedder's package or files are missing. The message names what to install."""

    code: ClassVar[str] = "embedder_unavailable"


class Embedder(Protocol):
    """Turns text into vectors whose dot product is their similarity.

    `id` names model and recipe and is persisted beside the vectors: vectors of another id must not be compared, so a
    change means that the conversations are indexed again. `dim` is the length of a vector.
    """

    @property
    def id(self) -> str: ...

    @property
    def dim(self) -> int: ...

    async def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        """[n, dim], rows of length 1, in the order of `texts`. Queries overtake passages that are waiting."""
        ...

    async def warm(self) -> None:
        """Loads the model now rather than at the first text. Raises `EmbedderUnavailable`."""
        ...

    def close(self) -> None:
        """Drops what is waiting and lets the thread end."""
        ...
