"""The gate that every turn passes before anything is spent on it: may this be answered, and if not, what is said."""

import asyncio
import re
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram

from server.errors import PolicyUnavailable
from server.policy.classifier import Classifier, Intent
from server.policy.model import NEVER, ContentPolicy

_log = structlog.get_logger(__name__)

READ_SECONDS = 30.0
"""A message of the largest plans has a hundred pieces, and a busy machine reads a dozen in a second."""
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0)
_NAMES = re.compile(r"\{char\}|\{user\}")
_SILENT = "The message could not be checked against the content policy, so it was not answered. Try again in a moment."

Kind = Literal["declined", "safety"]


@dataclass(frozen=True, slots=True)
class Asker:
    """Whom a decision is for: the plan, the content mode asked for, and the names that the wording uses."""

    tier: str
    mode: str | None
    char: str
    user: str


@dataclass(frozen=True, slots=True)
class Decision:
    """`kind` None: the turn may be answered and nothing is said beside it.

    `declined`: `text` is the reply, in the character's voice; `level` is what was asked for, and `plan` the one that
    would have it, None where none has. `safety`: `text` is for a person who may be in danger, in place of the reply, or
    beside it where `generate` is set.
    """

    kind: Kind | None = None
    generate: bool = True
    text: str = ""
    level: str | None = None
    plan: str | None = None


ALLOWED = Decision()


class Gate:
    """Decides. `modes`: mode → the content level it is meant for; `default_mode`: what a turn has that names none."""

    def __init__(
        self,
        policy: ContentPolicy,
        classifier: Classifier,
        *,
        modes: Mapping[str, str | None],
        default_mode: str | None,
        registry: CollectorRegistry | None = None,
    ) -> None:
        registry = registry if registry is not None else CollectorRegistry()
        self._policy = policy
        self._classifier = classifier
        self._modes = modes
        self._default_mode = default_mode
        self._decisions = Counter(
            "vestige_policy_decisions",
            "Turns by what the content gate decided, the level asked for and where it was read",
            ("outcome", "level", "where"),
            registry=registry,
        )
        self._seconds = Histogram(
            "vestige_policy_seconds", "Time the content gate took", buckets=_SECONDS, registry=registry
        )

    @property
    def classifier(self) -> Classifier:
        return self._classifier

    async def warm(self, text: str) -> None:
        """Begins to read a message; never fails, `judge` would say so."""
        try:
            async with asyncio.timeout(READ_SECONDS):
                await self._classifier.warm(text)
        except Exception as error:  # an operator's classifier may raise anything, and `judge` answers for it
            _log.warning("policy_warm_failed", error=type(error).__qualname__)

    async def judge(self, intent: Intent, asker: Asker) -> Decision:
        """Whether a turn may be answered.

        Raises:
            PolicyUnavailable: the classifier gave no answer, so nothing is generated.
        """
        began = time.perf_counter()
        try:
            async with asyncio.timeout(READ_SECONDS):
                reading = await self._classifier.read(intent)
            rank = self._policy.rank(reading.level)
        except Exception as error:
            # whatever an operator's classifier raises or answers: a turn that cannot be read is not let through
            _log.error("policy_failed", error=type(error).__qualname__)
            self._decisions.labels("failed", "none", "none").inc()
            raise PolicyUnavailable(_SILENT) from error
        finally:
            self._seconds.observe(time.perf_counter() - began)
        level, where = reading.level, str(reading.where)
        meant = self._mode_level(asker.mode)
        if meant is not None and self._policy.rank(meant) > rank:
            level, where = meant, "mode"
        if reading.self_harm and self._policy.self_harm.reply != "off":
            decision = self._safety(level, asker)
        else:
            decision = self._declined(level, asker, intent) or ALLOWED
        outcome = decision.kind or "allowed"
        self._decisions.labels(outcome, level, where).inc()
        _log.info(
            "policy",
            outcome=outcome,
            content_level=level,
            where=where,
            tier=asker.tier,
            ceiling=self._policy.ceiling(asker.tier),
        )
        return decision

    def _safety(self, level: str, asker: Asker) -> Decision:
        rule = self._policy.self_harm
        # nothing above the ceiling is generated, whatever else is said
        generate = rule.reply == "beside" and not self._above(level, asker)
        return Decision("safety", generate, rule.text)

    def _declined(self, level: str, asker: Asker, intent: Intent) -> Decision | None:
        if not self._above(level, asker):
            return None
        wording = self._policy.decline.never if level == NEVER else self._policy.decline.above
        turn = zlib.crc32("\0".join([*intent.before, *intent.said]).encode("utf-8", "replace"))
        names = {"{char}": asker.char, "{user}": asker.user}
        text = _NAMES.sub(lambda found: names[found[0]], wording[turn % len(wording)])
        return Decision("declined", False, text, level, self._policy.unlocked_by(level))

    def _above(self, level: str, asker: Asker) -> bool:
        return self._policy.rank(level) > self._policy.rank(self._policy.ceiling(asker.tier))

    def _mode_level(self, mode: str | None) -> str | None:
        """Without a policy file there is one level, and modes have none."""
        return None if self._policy.open else self._modes.get(mode or self._default_mode or "")
