"""What the ranking costs as a conversation grows: `python -m bench.search [--turns 60 600 6000 30000] [--json OUT]`.

Turns are random vectors and words drawn by Zipf's law, the 40th to the 8,000th commonest. Times are CPU time of one
core, so that a busy machine does not change them much; the query's embedding is not in them.
"""

import argparse
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np

from bench.report import add_json_argument, percentile, report
from server.memory.ranking import ConversationIndex, IndexedTurn, pack, parse_query, rank

SPEAKERS = ("Sam", "Mia")
DIM = 384
COMMON, WORDS = 40, 8_000
START = datetime(2024, 1, 1, 9, tzinfo=UTC)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, nargs="+", default=[36, 60, 600, 3_000, 6_000, 30_000])
    parser.add_argument("--searches", type=int, default=60)
    add_json_argument(parser)
    given = parser.parse_args()
    metrics: dict[str, float | int] = {}
    for count in given.turns:
        turns = talk(count)
        metrics[f"build_ms_{count}"] = timed(lambda turns=turns: ConversationIndex.build(turns), 3)[0]
        index = ConversationIndex.build(turns[:-6])
        grown = index.extended(turns[-6:])
        metrics[f"append_six_ms_{count}"] = appended(turns)
        generator = np.random.default_rng(1)
        questions = [f"What did Mia say about {sentence(generator, 6)}?" for _ in range(given.searches)]
        queries = [(parse_query(question, SPEAKERS), unit(generator, 1)) for question in questions]
        waiting = iter(queries * 2)
        half, most = timed(lambda index=grown, waiting=waiting: rank(index, *next(waiting)), given.searches)
        metrics |= {f"rank_p50_ms_{count}": half, f"rank_p95_ms_{count}": most}
        ranking = rank(grown, *queries[0])
        metrics[f"pack_4000_ms_{count}"] = timed(lambda index=grown, found=ranking: pack(index, found, 4_000), 10)[0]
        metrics[f"index_bytes_{count}"] = grown.nbytes
    report("Ranking by length of the conversation (turns)", metrics, {"searches": given.searches}, given.json)


def talk(count: int) -> list[IndexedTurn]:
    generator = np.random.default_rng(0)
    vectors = unit(generator, count)
    return [
        IndexedTurn(at + 1, SPEAKERS[at % 2], sentence(generator, 25), START + timedelta(hours=at // 10), vectors[at])
        for at in range(count)
    ]


def sentence(generator: np.random.Generator, length: int) -> str:
    ranks = COMMON * (WORDS / COMMON) ** generator.random(length)  # the commonest are stop words, which are not indexed
    return " ".join(f"w{int(rank_of)}x" for rank_of in ranks)


def unit(generator: np.random.Generator, count: int) -> np.ndarray:
    made = generator.normal(size=(count, DIM)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def appended(turns: list[IndexedTurn]) -> float:
    """Milliseconds per window of six, one after the other, in the second half of the conversation."""
    index = ConversationIndex.build(turns[: len(turns) // 2])
    steps = range(len(turns) // 2, min(len(turns), len(turns) // 2 + 600), 6)
    start = time.thread_time()
    for at in steps:
        index = index.extended(turns[at : at + 6])
    return (time.thread_time() - start) / len(steps) * 1e3


def timed(work: Callable[[], object], times: int) -> tuple[float, float]:
    """Median and 95th percentile in milliseconds."""
    taken: list[float] = []
    for _ in range(times):
        start = time.thread_time()
        work()
        taken.append((time.thread_time() - start) * 1e3)
    return percentile(taken, 0.5), percentile(taken, 0.95)


if __name__ == "__main__":
    main()
