"""Recall of long conversations: `python -m bench.memory --data locomo.json [--leave-one-out] [--json OUT]`.

Every LoCoMo conversation is told to the memory service turn by turn; then each question (categories 1-4) is asked as a
chat turn asks. Evidence-turn recall is the share of a question's evidence turns among the turns recalled within a
budget of tokens (words x 1.33, dates and speaker names included), averaged over questions.
"""

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np

from bench.embedded import CachedPassages, Embedded, embed_all
from bench.fit_ranking import cases, fit
from bench.locomo import CATEGORIES, Conversation, load
from bench.memory_service import open_memory, tell
from bench.report import add_json_argument, percentile, report
from bench.scoring import BUDGETS, Recall, Recalled, Score
from bench.windows import WindowSearch
from server.memory.embedding import Embedder, make_embedder
from server.memory.ranking import FEATURES, pack, parse_query, rank, render, shipped_weights
from server.memory.ranking.model import Matrix
from server.memory.tokens import estimate_tokens
from server.memory.views import MemoryOptions

LEXICAL = tuple(name for name in FEATURES if name.startswith(("words", "cover")))
DENSE = tuple(name for name in FEATURES if name.startswith("meaning"))


def by_ranking(embedded: Embedded, embedder: Embedder, weights: Matrix) -> Recall:
    """The ranking alone, without stores: for weights other than the shipped ones."""

    async def recall(question: str, budget: int) -> Recalled:
        query = parse_query(question, embedded.source.speakers, asker=None)
        ranking = rank(embedded.index, query, await embedder.embed(query.texts, "query"), weights=weights)
        spans = pack(embedded.index, ranking, budget)
        return Recalled(
            frozenset(turn.seq for span in spans for turn in span.turns), estimate_tokens(render(spans)) if spans else 0
        )

    return recall


def by_windows(conversation: Conversation, size: int) -> Recall:
    search = WindowSearch(conversation.lines, size)

    async def recall(question: str, budget: int) -> Recalled:
        return Recalled(search.recall(question, budget), budget)

    return recall


SMALL_TALK = (
    ("Hey, good morning! I slept badly and the coffee machine broke again.", "I can't quite recall."),
    ("Haha that's so funny. Anyway, long day at work, my boss was annoying.", ""),
    ("It's raining here all day so I'm staying in.", "It came up the other day while I was on the train."),
    ("I'm making pasta tonight, a new recipe. Oh, I was wondering about something.", ""),
)


def amid_small_talk(recall: Recall) -> Recall:
    """The same questions as people ask them, between things that have nothing to do with them."""

    async def asked(question: str, budget: int) -> Recalled:
        before, after = SMALL_TALK[len(question) % len(SMALL_TALK)]
        return await recall(f"{before} {question} {after}".strip(), budget)

    return asked


def without(weights: Matrix, names: Sequence[str]) -> Matrix:
    kept = weights.copy()
    kept[[FEATURES.index(name) for name in names]] = 0.0
    return kept


async def measure(given: argparse.Namespace) -> tuple[dict[str, float | int], dict[str, object]]:
    loaded, digest = load(given.data)
    embedder = CachedPassages(make_embedder("english", threads=given.threads), given.cache)
    await embedder.warm()
    embedded = await embed_all(loaded, given.cache)
    names = ["memory", "bm25", "lexical", "dense"]
    names += [name for name, on in (("loo", given.leave_one_out), ("small_talk", given.small_talk)) if on]
    scores = {name: Score() for name in names}
    weights = shipped_weights()
    fitted = fit_others(embedded) if given.leave_one_out else {}
    windows = 0  # the service goes first: its searches are timed and must embed their queries themselves
    async with AsyncExitStack() as stack:
        memory = None if given.ranking_only else await stack.enter_async_context(open_memory(embedder, given.window))
        for one in embedded:
            if memory is None:
                recall, count = by_ranking(one, embedder, weights), 0
            else:
                recall, count = await tell(memory, one.source)
            windows += count
            await scores["memory"].ask_all(one.source, recall)
    for one in embedded:
        ways: dict[str, Recall] = {
            "bm25": by_windows(one.source, given.window),
            "lexical": by_ranking(one, embedder, without(weights, DENSE)),
            "dense": by_ranking(one, embedder, without(weights, LEXICAL)),
        }
        if given.small_talk:
            ways["small_talk"] = amid_small_talk(by_ranking(one, embedder, weights))
        if given.leave_one_out:
            ways["loo"] = by_ranking(one, embedder, fitted[one.source.id])
        print(f"{one.source.id}: {len(one.source.lines)} turns, {len(one.source.questions)} questions", flush=True)
        for name, way in ways.items():
            await scores[name].ask_all(one.source, way)
    embedder.close()
    config: dict[str, object] = {
        "data_sha256": digest,
        "conversations": [one.source.id for one in embedded],
        "questions": len(scores["memory"].categories),
        "window_messages": given.window,
        "through": "ranking" if given.ranking_only else "service",
        "embedder": embedder.id,
        "threads": given.threads,
        "weights": {name: round(float(value), 4) for name, value in zip(FEATURES, weights, strict=True)},
    }
    return metrics(scores, embedded, windows), config


def fit_others(embedded: Sequence[Embedded]) -> dict[str, Matrix]:
    """For each conversation, weights fitted on all the others."""
    known = {one.source.id: cases(one) for one in embedded}
    return {held: fit([case for id, data in known.items() if id != held for case in data]) for held in known}


def metrics(scores: Mapping[str, Score], embedded: Sequence[Embedded], windows: int) -> dict[str, float | int]:
    memory, out = scores["memory"], dict[str, float | int]()
    for budget in BUDGETS:
        out[f"recall_{budget}"] = memory.mean(budget)
    for budget in BUDGETS:
        out[f"multi_hop_{budget}"] = memory.mean(budget, "multi_hop")
    out["bm25_2000"] = scores["bm25"].mean(2_000)
    out["search_p50_ms"] = percentile(memory.seconds, 0.50) * 1e3
    out["search_p95_ms"] = percentile(memory.seconds, 0.95) * 1e3
    out["search_cpu_p50_ms"] = percentile(memory.cpu_seconds, 0.50) * 1e3  # what a busy machine changes less
    out["search_cpu_p95_ms"] = percentile(memory.cpu_seconds, 0.95) * 1e3
    lengths = [sum(estimate_tokens(f"{line.speaker}: {line.text}") for line in one.source.lines) for one in embedded]
    asked = [length for one, length in zip(embedded, lengths, strict=True) for _ in one.source.questions]
    shares = [tokens / length for tokens, length in zip(memory.tokens[2_000], asked, strict=True)]
    out["tokens_share_of_full"] = float(np.mean(shares))
    out["windows"] = windows
    out["turns"] = sum(len(one.source.lines) for one in embedded)
    out["index_bytes"] = sum(one.index.nbytes for one in embedded)
    for category in CATEGORIES.values():
        for budget in BUDGETS:
            out.setdefault(f"{category}_{budget}", memory.mean(budget, category))
    for name, label in (
        ("loo", "leave_one_out"),
        ("small_talk", "small_talk"),
        ("lexical", "lexical_only"),
        ("dense", "dense_only"),
        ("bm25", "bm25"),
    ):
        for budget in BUDGETS:
            if name in scores:
                out.setdefault(f"{label}_{budget}", scores[name].mean(budget))
                out.setdefault(f"{label}_multi_hop_{budget}", scores[name].mean(budget, "multi_hop"))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="LoCoMo's JSON")
    parser.add_argument("--window", type=int, default=MemoryOptions().window_messages, help="messages per window")
    parser.add_argument("--threads", type=int, default=1, help="of the embedding model")
    parser.add_argument("--leave-one-out", action="store_true", help="also fit on the others and test on each")
    parser.add_argument("--small-talk", action="store_true", help="also ask every question amid small talk")
    parser.add_argument("--ranking-only", action="store_true", help="skip the stores: ranking and packing alone")
    parser.add_argument("--cache", type=Path, help="folder for turn embeddings between runs; outside the repository")
    add_json_argument(parser)
    given = parser.parse_args()
    found, config = asyncio.run(measure(given))
    report("Memory: recall of evidence turns (LoCoMo)", found, config, given.json)


if __name__ == "__main__":
    main()
