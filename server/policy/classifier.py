"""What reads a turn's level: the seam, and the default that compares vectors with examples."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from server.errors import SettingsError
from server.memory.embedding.base import Embedder, Vectors
from server.memory.embedding.cache import VectorCache
from server.policy.model import NEVER, SELF_HARM, ContentPolicy
from server.policy.plain import pieces, plain

Where = Literal["message", "context", "standing"]

NEAREST = 2
"""How many of a label's examples count: one alone may be odd."""
TOGETHER = 4
"""Examples embedded at once while the server starts: a person's message waits for no more."""
FLOORS = {"hash:": (0.97, 0.97)}
"""By embedder: the least likeness of a message and of standing text. One that knows no meaning knows only the same."""
FLOOR = (0.30, 0.40)
CONTEXT = 3
"""How many messages before this one are read together with it."""
ENDINGS = 2
"""And so many pieces of each, the last ones. They were embedded when they were said; in a conversation that rested
since, memory has the vectors of short ones at hand."""
REMEMBERED = 4_096


@dataclass(frozen=True, slots=True)
class Intent:
    """What a turn asks for.

    `said`: the texts of this turn, none where a reply is to go on; `before`: the person's own last messages, oldest
    first; `unread`: messages of before that nobody has read for their level yet; `standing`: what clients wrote that
    holds for every turn: card, pins, system text.
    `meanings`: the vectors [dim] of messages in `before`, as far as memory holds them: of the same embedder, of the
    whole text without the speakers' names.
    """

    said: Sequence[str]
    before: Sequence[str] = ()
    unread: Sequence[str] = ()
    standing: Sequence[str] = ()
    meanings: Mapping[str, Vectors] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reading:
    """The highest level found, and where; whether the person may be in danger."""

    level: str
    where: Where = "message"
    self_harm: bool = False


class Classifier(Protocol):
    """Reads intents. An operator's own is named in the policy file as `module:factory`; the factory gets
    `(policy, embedder)`. What it raises, or takes longer over than some seconds for, is no answer: the turn is refused.
    """

    async def prepare(self) -> None:
        """Whatever can be done before the first turn."""
        ...

    async def warm(self, text: str) -> None:
        """Begins to read a message that was just accepted; `read` gets it in a moment."""
        ...

    async def read(self, intent: Intent) -> Reading:
        """The level of a turn."""
        ...


class ExampleClassifier:
    """Nearest examples, by the cosine of embeddings, and phrases.

    A message is read in pieces and the highest level of one counts. The mean of its vector and those of the messages
    before it stands for all of them together, so that a request in instalments is seen. Vectors come from the
    embedder's own cache; standing text is read once.
    """

    def __init__(self, policy: ContentPolicy, examples: Mapping[str, Sequence[str]], embedder: Embedder) -> None:
        self._levels = policy.levels
        given = policy.thresholds
        floor, standing = next((two for id, two in FLOORS.items() if embedder.id.startswith(id)), FLOOR)
        self._floor = floor if given.floor is None else given.floor
        self._standing_floor = standing if given.standing_floor is None else given.standing_floor
        self._margin = given.margin
        self._embedder = embedder
        self._labels = (*policy.levels, NEVER, SELF_HARM)
        self._examples = [(row, plain(text)) for row, label in enumerate(self._labels) for text in examples[label]]
        self._phrases = {label: _phrases(policy.phrases[label]) for label in self._labels if policy.phrases.get(label)}
        self._known = VectorCache(REMEMBERED)  # of standing text: label → as a vector of one number
        self._loading: asyncio.Task[_Examples] | None = None

    async def prepare(self) -> None:
        await self._load_once()  # whoever cancels this does not want the examples any more

    async def warm(self, text: str) -> None:
        await self._embed(pieces(text))

    async def read(self, intent: Intent) -> Reading:
        known = await self._ready()
        said = [piece for text in intent.said for piece in pieces(text)]
        now = await self._embed(said)
        labels = known.labels(now, self._floor, self._margin) | self._spoken([" ".join(said)])
        found = Reading(self._highest(labels), "message", self._labels.index(SELF_HARM) in labels)
        if said and intent.before:
            before, vectors = await self._earlier(intent)
            together = known.labels(_blend(now, vectors), self._floor, self._margin)
            found = self._raised(found, together | self._spoken([" ".join([*before, *said])]), "context")
        if intent.unread:
            unread = [piece for text in intent.unread for piece in pieces(text)]
            labels = known.labels(await self._embed(unread), self._floor, self._margin) | self._spoken(
                [" ".join(unread)]
            )
            found = self._raised(found, labels, "context")
        return self._raised(found, await self._standing(intent.standing, known), "standing")

    async def _earlier(self, intent: Intent) -> tuple[list[str], Vectors]:
        """How the messages before end, and what that means [n, dim]: of one that is short, what memory holds of it."""
        texts: list[str] = []
        unknown: list[str] = []
        held: list[Vectors] = []
        for text in intent.before[-CONTEXT:]:
            parts = pieces(text)
            meaning = intent.meanings.get(text) if len(parts) == 1 else None
            texts += parts[-ENDINGS:]
            if meaning is None:
                unknown += parts[-ENDINGS:]
            else:
                held.append(meaning[None, :])
        return texts, np.concatenate([*held, await self._embed(unknown)])

    async def _standing(self, texts: Sequence[str], known: "_Examples") -> set[int]:
        """The labels of texts that are the same every turn; each is read once."""
        found: set[int] = set()
        for text in texts:
            key = VectorCache.key(text, "passage")
            remembered = self._known.get(key)
            if remembered is None:
                parts = pieces(text)
                vectors = await self._embed(parts)
                labels = known.labels(vectors, self._standing_floor, self._margin) | self._spoken([" ".join(parts)])
                remembered = np.array(sorted(labels), np.float32)
                self._known.put(key, remembered)
            found |= {int(label) for label in remembered}
        return found

    def _spoken(self, texts: Sequence[str]) -> set[int]:
        """Labels whose phrases are in the texts."""
        return {
            self._labels.index(label)
            for label, phrases in self._phrases.items()
            if any(phrases.search(text.casefold()) for text in texts)
        }

    def _raised(self, found: Reading, labels: set[int], where: Where) -> Reading:
        level = self._highest(labels)
        if self._labels.index(level) <= self._labels.index(found.level):
            return found
        return Reading(level, where, found.self_harm)

    def _highest(self, labels: set[int]) -> str:
        danger = self._labels.index(SELF_HARM)
        return self._labels[max((label for label in labels if label != danger), default=0)]

    async def _embed(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.empty((0, self._embedder.dim), np.float32)
        return await self._embedder.embed(texts, "query")

    async def _ready(self) -> "_Examples":
        return await asyncio.shield(self._load_once())

    def _load_once(self) -> "asyncio.Task[_Examples]":
        if self._loading is None or (self._loading.done() and _failed(self._loading)):
            self._loading = asyncio.create_task(self._load(), name="policy-examples")
        return self._loading

    async def _load(self) -> "_Examples":
        texts = [text for _, text in self._examples]
        parts = [await self._embed(texts[at : at + TOGETHER]) for at in range(0, len(texts), TOGETHER)]
        return _Examples(np.concatenate(parts), np.array([row for row, _ in self._examples]), len(self._labels))


class _Examples:
    """The examples' vectors [n, dim], without what all of them share: embedders put every text into one corner."""

    def __init__(self, vectors: Vectors, labels: NDArray[np.int64], count: int) -> None:
        self._shared = vectors[labels == 0].mean(axis=0)
        self._vectors = self._centred(vectors)
        self._rows = [np.flatnonzero(labels == label) for label in range(count)]

    def labels(self, vectors: Vectors, floor: float, margin: float) -> set[int]:
        """The label of each vector, as a set; the last one is self-harm and competes with all others."""
        if not len(vectors):
            return set()
        likeness = self._centred(vectors) @ self._vectors.T  # [n, examples]
        scores = np.full((len(vectors), len(self._rows)), -1.0, np.float32)  # [n, labels]
        for label, rows in enumerate(self._rows):
            if len(rows):
                nearest = min(NEAREST, len(rows))
                scores[:, label] = np.sort(likeness[:, rows], axis=1)[:, -nearest:].mean(axis=1)
        found = {self._label(row, floor, margin) for row in scores}
        if len(self._rows) - 1 in found:  # what else such a text asks for counts too
            found |= {self._label(row[:-2], floor, margin) for row in scores}
        return found

    def _label(self, scores: NDArray[np.float32], floor: float, margin: float) -> int:
        best = int(scores.argmax())
        if best == len(self._rows) - 1 and scores[best] >= floor:
            return best  # a lead of any size: a person in danger who is not seen is worse than one word too many
        while best > 0 and (scores[best] < floor or scores[best] - scores[:best].max() < margin):
            best = int(scores[:best].argmax())
        return best

    def _centred(self, vectors: Vectors) -> Vectors:
        moved = vectors - self._shared
        return moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12)


def make_classifier(policy: ContentPolicy, examples: Mapping[str, Sequence[str]], embedder: Embedder) -> Classifier:
    """The classifier that a policy names.

    Raises:
        SettingsError: it cannot be loaded.
    """
    if policy.classifier == "examples":
        return ExampleClassifier(policy, examples, embedder)
    module, _, factory = policy.classifier.partition(":")
    try:
        return getattr(import_module(module), factory)(policy, embedder)
    except (ImportError, AttributeError, TypeError) as error:
        raise SettingsError(f"The policy file's classifier {policy.classifier!r} cannot be loaded: {error}.") from error


def _blend(now: Vectors, before: Vectors) -> Vectors:
    """[1, dim]: this turn and those before it as one."""
    mean = np.concatenate([now.mean(axis=0, keepdims=True), before]).mean(axis=0, keepdims=True)
    return mean / max(float(np.linalg.norm(mean)), 1e-12)


def _phrases(phrases: Sequence[str]) -> re.Pattern[str]:
    words = "|".join(re.escape(plain(phrase).casefold()) for phrase in phrases)
    return re.compile(rf"(?<!\w)(?:{words})(?!\w)")


def _failed(task: "asyncio.Task[_Examples]") -> bool:
    return task.cancelled() or task.exception() is not None
