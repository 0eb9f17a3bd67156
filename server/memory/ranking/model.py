"""What goes into the ranking and what comes out of it."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
AnyVector = NDArray[np.float32] | NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class IndexedTurn:
    """A turn to be found again. `vector` [dim] is the embedding of `embedding_text(...)`; `created` has an offset."""

    seq: int
    speaker: str
    text: str
    created: datetime
    vector: AnyVector


@dataclass(frozen=True, slots=True)
class WindowFacts:
    """Facts a model wrote about the turns `first_seq`..`last_seq`: more keys to find those turns by, never the answer.

    `vectors` [len(facts), dim] are the embeddings of `embedding_text("", fact, speakers)`.
    """

    first_seq: int
    last_seq: int
    facts: tuple[str, ...]
    vectors: AnyVector


@dataclass(frozen=True, slots=True)
class RecalledTurn:
    """A turn as it was said, with the score it was chosen for (larger is better, comparable within one query only)."""

    seq: int
    speaker: str
    text: str
    created: datetime
    score: float


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive turns of one day."""

    first_seq: int
    last_seq: int
    turns: tuple[RecalledTurn, ...]
    start: datetime
    end: datetime
