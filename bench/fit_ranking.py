"""Fits the ranking's weights: `python -m bench.fit_ranking --data FILE [--write]`.

A conditional logit over the turns of a conversation: the probability that a turn is evidence is softmax(w · features)
among all turns asked about (McFadden, 1974), with an L2 penalty on standardised weights. Only the order within a query
matters to recall, and this is its likelihood; a plain logistic regression must also explain how much evidence there is.
"""

import argparse
import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from bench.embedded import Embedded, embed_all
from bench.locomo import load
from bench.report import add_json_argument, report
from bench.scoring import BUDGETS
from server.memory.ranking import FEATURES, feature_matrix, pack
from server.memory.ranking.scoring import Ranking

WEIGHTS = Path(__file__).parent.parent / "server" / "memory" / "ranking" / "weights.json"
L2 = 5e-3
GROUPS = {  # what is left out together by --ablate
    "words": ("words_1", "words_9", "cover_3", "words_9_listing"),
    "meaning": ("meaning_1", "meaning_3", "meaning_9"),
    "context": ("words_9", "words_9_listing", "cover_3", "meaning_3", "meaning_9", "answers"),
    "speaker": ("speaker", "self"),
    "date and time": ("date", "when"),
    "questions in the talk": ("asks", "answers"),
    "names and numbers": ("names", "counts"),
    "several things": ("words_9_listing",),
}


@dataclass(frozen=True, slots=True)
class Case:
    """A question as the model sees it: features [turns, FEATURES] and which rows are evidence [turns]."""

    category: str
    rows: NDArray[np.int64]
    matrix: NDArray[np.float64]
    evidence: NDArray[np.float64]
    wanted: frozenset[int]


def cases(conversation: Embedded) -> list[Case]:
    out: list[Case] = []
    for question, query, vectors in conversation.asked:
        rows, matrix = feature_matrix(conversation.index, query, vectors)
        marks = np.isin(conversation.index.seq.rows[rows], list(question.evidence)).astype(float)
        out.append(Case(question.category, rows, matrix.astype(float), marks, question.evidence))
    return out


def fit(data: Sequence[Case], l2: float = L2, without: Sequence[str] = ()) -> NDArray[np.float32]:
    """Weights [FEATURES] for features as they are. Deterministic: the problem is convex and starts from zero."""
    rows = np.concatenate([case.matrix for case in data])
    scale = np.sqrt(np.mean([case.matrix.var(axis=0) for case in data], axis=0)) + 1e-9
    rows = rows / scale
    rows[:, [FEATURES.index(name) for name in without]] = 0.0
    sizes = [len(case.rows) for case in data]
    starts = np.cumsum([0, *sizes[:-1]])
    of_case = np.repeat(np.arange(len(data)), sizes)
    target = np.concatenate([case.evidence / case.evidence.sum() for case in data])

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scores = rows @ weights
        scores -= np.maximum.reduceat(scores, starts)[of_case]
        total = np.add.reduceat(np.exp(scores), starts)
        chance = np.exp(scores) / total[of_case]
        value = -(target * (scores - np.log(total)[of_case])).sum() / len(data) + l2 * (weights**2).sum()
        return float(value), rows.T @ (chance - target) / len(data) + 2 * l2 * weights

    found = minimize(loss, np.zeros(rows.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    weights = (found.x / scale).astype(np.float32)
    weights[[FEATURES.index(name) for name in without]] = 0.0
    return weights


def recall(conversation: Embedded, data: Sequence[Case], weights: NDArray[np.float32]) -> list[dict[int, float]]:
    """Share of each question's evidence among the packed turns, by budget."""
    out: list[dict[int, float]] = []
    for case in data:
        scores = (case.matrix @ weights).astype(np.float32)
        order = np.argsort(-scores, kind="stable")
        ranking = Ranking(case.rows[order], scores[order])
        found: dict[int, float] = {}
        for budget in BUDGETS:
            shown = {turn.seq for span in pack(conversation.index, ranking, budget) for turn in span.turns}
            found[budget] = len(shown & case.wanted) / len(case.wanted)
        out.append(found)
    return out


def summary(results: Sequence[dict[int, float]], data: Sequence[Case]) -> dict[str, float]:
    hops = [found for found, case in zip(results, data, strict=True) if case.category == "multi_hop"]
    metrics = {f"recall_{budget}": float(np.mean([found[budget] for found in results])) for budget in BUDGETS}
    return metrics | {f"multi_hop_{budget}": float(np.mean([found[budget] for found in hops])) for budget in BUDGETS}


def leave_one_out(
    conversations: Sequence[Embedded], all_cases: Sequence[list[Case]], l2: float = L2, without: Sequence[str] = ()
) -> dict[str, float]:
    """Recall on each conversation with weights fitted on the others, averaged over questions."""
    results: list[dict[int, float]] = []
    for held_out, conversation in enumerate(conversations):
        training = [case for at, data in enumerate(all_cases) if at != held_out for case in data]
        results += recall(conversation, all_cases[held_out], fit(training, l2, without))
    return summary(results, [case for data in all_cases for case in data])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="LoCoMo's JSON")
    parser.add_argument("--write", action="store_true", help=f"write {WEIGHTS.name}")
    parser.add_argument("--ablate", action="store_true", help="fit and test without each group of features")
    parser.add_argument("--l2", type=float, default=L2)
    parser.add_argument("--cache", type=Path, help="folder for embeddings between runs; outside the repository")
    add_json_argument(parser)
    given = parser.parse_args()
    loaded, digest = load(given.data)
    conversations = asyncio.run(embed_all(loaded, given.cache))
    all_cases = [cases(conversation) for conversation in conversations]
    metrics = {f"loo_{name}": value for name, value in leave_one_out(conversations, all_cases, given.l2).items()}
    weights = fit([case for data in all_cases for case in data], given.l2)
    for name, value in zip(FEATURES, weights, strict=True):
        print(f"  {name:<18} {value:8.3f}")
    for name, group in GROUPS.items() if given.ablate else ():
        scores = leave_one_out(conversations, all_cases, given.l2, group)
        print(f"  without {name:<22}", " ".join(f"{key} {value:.3f}" for key, value in scores.items()))
        metrics |= {f"without_{name.replace(' ', '_')}_{key}": value for key, value in scores.items()}
    if given.write:
        record = {
            "weights": {name: round(float(value), 4) for name, value in zip(FEATURES, weights, strict=True)},
            "fitted": {
                "method": "conditional logit, L-BFGS from zero (no seed), python -m bench.fit_ranking",
                "data": "LoCoMo conversations " + ", ".join(one.id for one in loaded),
                "data_sha256": digest,
                "l2": given.l2,
                "leave_one_conversation_out": {
                    key: round(value, 4) for key, value in metrics.items() if key.startswith("loo_")
                },
            },
        }
        WEIGHTS.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        print(f"  written to {WEIGHTS}")
    report("Ranking, leave one conversation out", metrics, {"data_sha256": digest, "l2": given.l2}, given.json)


if __name__ == "__main__":
    main()
