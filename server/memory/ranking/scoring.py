"""Scores: a weighted sum of features, the weights fitted once on public conversations."""

import json
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from server.memory.ranking.features import FEATURES, feature_matrix
from server.memory.ranking.index import ConversationIndex
from server.memory.ranking.model import Matrix
from server.memory.ranking.query import Query


@dataclass(frozen=True, slots=True)
class Ranking:
    """Rows of an index, best first [rows], and their scores [rows]. Rows that are not in it were not worth a look."""

    rows: NDArray[np.int64]
    scores: Matrix


@cache
def shipped_weights() -> Matrix:
    """[FEATURES] from weights.json, which `python -m bench.fit_ranking` writes."""
    stored = json.loads(files("server.memory.ranking").joinpath("weights.json").read_text("utf-8"))["weights"]
    return np.array([stored[name] for name in FEATURES], np.float32)


def rank(
    index: ConversationIndex,
    query: Query,
    vectors: Matrix,
    *,
    before_seq: int | None = None,
    now: datetime | None = None,
    weights: Matrix | None = None,
) -> Ranking:
    """Orders the turns by how likely they hold what `query` asks for.

    `vectors` [len(query.texts), dim] are the embeddings (kind "query") of `query.texts`. Turns from `before_seq` on are
    left out, because they are in the prompt already. `now` resolves "yesterday". `weights` [FEATURES] default to the
    shipped ones.
    """
    end = len(index) if before_seq is None else int(np.searchsorted(index.seq.rows, before_seq))
    rows, matrix = feature_matrix(index, query, np.asarray(vectors, np.float32), end=end, now=now)
    scores = matrix @ (shipped_weights() if weights is None else weights)
    order = np.argsort(-scores, kind="stable")
    return Ranking(rows[order], scores[order])
