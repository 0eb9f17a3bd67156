"""The baseline: fixed windows of a conversation, ranked by plain stemmed BM25, whole windows packed into the budget."""

import math
import re
from collections import Counter
from collections.abc import Sequence

import Stemmer

from bench.locomo import Line
from server.memory.tokens import weigh

K1, B = 1.2, 0.75


class WindowSearch:
    """Windows of `size` turns; a window's key is its text with speaker names and dates. No stop words, no tuning."""

    def __init__(self, lines: Sequence[Line], size: int) -> None:
        self._stemmer = Stemmer.Stemmer("english")
        self.windows = [lines[start : start + size] for start in range(0, len(lines), size)]
        shown = [
            "\n".join([f"{window[0].created:%d %B %Y}", *(f"{line.speaker}: {line.text}" for line in window)])
            for window in self.windows
        ]
        self._cost = [weigh(text) for text in shown]
        self._counts = [Counter(self._terms(text)) for text in shown]
        self._lengths = [sum(counts.values()) for counts in self._counts]
        self._mean = sum(self._lengths) / max(len(self._lengths), 1)
        self._frequency = Counter(term for counts in self._counts for term in counts)

    def recall(self, question: str, budget: int) -> frozenset[int]:
        """The `seq` of all turns in the best windows that fit `budget` tokens."""
        asked = Counter(self._terms(question))
        scores = [self._score(at, asked) for at in range(len(self.windows))]
        left = float(budget)
        found: set[int] = set()
        for at in sorted(range(len(scores)), key=lambda at: -scores[at]):
            if self._cost[at] <= left:
                left -= self._cost[at]
                found.update(line.seq for line in self.windows[at])
        return frozenset(found)

    def _terms(self, text: str) -> list[str]:
        return self._stemmer.stemWords(re.findall(r"[^\W_]+", text.lower()))

    def _score(self, at: int, asked: Counter[str]) -> float:
        counts, scale = self._counts[at], K1 * (1 - B + B * self._lengths[at] / self._mean)
        total = 0.0
        for term, times in asked.items():
            if count := counts.get(term):
                df = self._frequency[term]
                idf = math.log1p((len(self.windows) - df + 0.5) / (df + 0.5))
                total += times * idf * count * (K1 + 1) / (count + scale)
        return total
