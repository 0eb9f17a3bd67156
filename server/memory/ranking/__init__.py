"""Which turns of a conversation answer a question, and which of them a budget holds. Pure: no IO, no clock."""

from server.memory.ranking.features import FEATURES, feature_matrix
from server.memory.ranking.index import ConversationIndex
from server.memory.ranking.model import IndexedTurn, RecalledTurn, Span, WindowFacts
from server.memory.ranking.packing import date_header, pack, render
from server.memory.ranking.query import Query, embedding_text, parse_query
from server.memory.ranking.scoring import Ranking, rank, shipped_weights

__all__ = [
    "FEATURES",
    "ConversationIndex",
    "IndexedTurn",
    "Query",
    "Ranking",
    "RecalledTurn",
    "Span",
    "WindowFacts",
    "date_header",
    "embedding_text",
    "feature_matrix",
    "pack",
    "parse_query",
    "rank",
    "render",
    "shipped_weights",
]
