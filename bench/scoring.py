"""Evidence-turn recall: how much of what answers a question is among the turns recalled within a budget."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import numpy as np

from bench.locomo import Conversation, Question

BUDGETS = (1_000, 2_000, 4_000)  # tokens: words x 1.33


@dataclass(frozen=True, slots=True)
class Recalled:
    """The `seq` of the turns recalled, and what showing them costs in tokens."""

    seqs: frozenset[int]
    tokens: int


Recall = Callable[[str, int], Awaitable[Recalled]]
"""(question, budget in tokens) to what is recalled."""


@dataclass(slots=True)
class Score:
    """Collects one way of recalling over all questions."""

    found: dict[int, list[float]] = field(default_factory=lambda: {budget: [] for budget in BUDGETS})
    tokens: dict[int, list[int]] = field(default_factory=lambda: {budget: [] for budget in BUDGETS})
    categories: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)

    async def ask_all(self, conversation: Conversation, recall: Recall) -> None:
        for question in conversation.questions:
            await self._ask(question, recall)

    async def _ask(self, question: Question, recall: Recall) -> None:
        """Asks with every budget; only the first, which has to embed the question, is timed."""
        self.categories.append(question.category)
        for at, budget in enumerate(BUDGETS):
            start, cpu = time.perf_counter(), time.process_time()
            recalled = await recall(question.text, budget)
            if at == 0:
                self.seconds.append(time.perf_counter() - start)
                self.cpu_seconds.append(time.process_time() - cpu)
            self.found[budget].append(len(recalled.seqs & question.evidence) / len(question.evidence))
            self.tokens[budget].append(recalled.tokens)

    def mean(self, budget: int, category: str | None = None) -> float:
        """Averaged over questions, of one category or all; 0 without any."""
        chosen = [
            value
            for value, own in zip(self.found[budget], self.categories, strict=True)
            if category is None or own == category
        ]
        return float(np.mean(chosen)) if chosen else 0.0
