"""What the gate decides, for any classifier: ceilings, modes, danger, and a classifier that gives no answer."""

import asyncio
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from server.errors import PolicyUnavailable
from server.policy import gate as gate_module
from server.policy.classifier import Intent, Reading
from server.policy.gate import ALLOWED, Asker, Gate
from server.policy.model import ContentPolicy, SelfHarm

LEVELS = ("general", "romance", "mature")
PLANS = {"free": "general", "plus": "romance", "top": "mature"}
INTENT = Intent(["something"])
MODES = {"everyday": "general", "scene": "mature", "unnamed": None}


class Says:
    """Reads every intent alike; or raises, or hangs."""

    def __init__(self, answer: Reading | Exception | None) -> None:
        self.answer = answer

    async def prepare(self) -> None:
        return

    async def warm(self, text: str) -> None:
        await self.read(Intent([text]))

    async def read(self, intent: Intent) -> Reading:
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        assert self.answer is not None
        return self.answer


def gate(answer: Reading | Exception | None, **fields: Any) -> tuple[Gate, CollectorRegistry]:
    registry = CollectorRegistry()
    policy = ContentPolicy(**({"levels": LEVELS, "plans": PLANS} | fields))
    made = Gate(policy, Says(answer), modes=MODES, default_mode="everyday", registry=registry)
    return made, registry


def asker(tier: str, mode: str | None = None) -> Asker:
    return Asker(tier, mode, "Mira", "Anna")


@pytest.mark.parametrize("level", [*LEVELS, "never"])
@pytest.mark.parametrize("tier", ["free", "plus", "top", "unknown"])
@pytest.mark.parametrize("mode", [None, "everyday", "scene", "unnamed", "no such mode"])
async def test_nothing_above_the_ceiling_is_answered(level: str, tier: str, mode: str | None) -> None:
    made, registry = gate(Reading(level))
    decision = await made.judge(INTENT, asker(tier, mode))
    order = [*LEVELS, "never"]
    asked = max(level, "mature" if mode == "scene" else "general", key=order.index)
    allowed = order.index(asked) <= order.index(PLANS.get(tier, "general"))
    assert (decision == ALLOWED) == allowed
    if not allowed:
        plan = {"romance": "plus", "mature": "top", "never": None}[asked]
        assert (decision.kind, decision.generate, decision.level, decision.plan) == ("declined", False, asked, plan)
        assert tier not in decision.text
    outcome = "allowed" if allowed else "declined"
    where = "mode" if asked != level else "message"
    labels = {"outcome": outcome, "level": asked, "where": where}
    assert registry.get_sample_value("vestige_policy_decisions_total", labels) == 1


async def test_a_server_without_a_file_knows_no_levels_but_never() -> None:
    made = Gate(ContentPolicy(), Says(Reading("everything")), modes=MODES, default_mode="everyday")
    assert await made.judge(INTENT, asker("free", "scene")) == ALLOWED
    made = Gate(ContentPolicy(), Says(Reading("never")), modes={}, default_mode=None)
    decision = await made.judge(INTENT, asker("free"))
    assert (decision.kind, decision.plan) == ("declined", None)


@pytest.mark.parametrize(
    ("reply", "level", "kind", "generate"),
    [
        ("instead", "general", "safety", False),
        ("beside", "general", "safety", True),
        ("beside", "mature", "safety", False),
        ("off", "general", None, True),
        ("off", "mature", "declined", False),
    ],
)
async def test_danger_comes_before_all_else(reply: Any, level: str, kind: str | None, generate: bool) -> None:
    made, _ = gate(Reading(level, self_harm=True), self_harm=SelfHarm(reply=reply))
    decision = await made.judge(INTENT, asker("free"))
    assert (decision.kind, decision.generate) == (kind, generate)
    if kind == "safety":
        assert "988" in decision.text


@pytest.mark.parametrize("answer", [RuntimeError("a bug that quotes: something"), Reading("no such level"), None])
async def test_a_classifier_without_an_answer_lets_nothing_through(
    answer: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gate_module, "READ_SECONDS", 0.05)
    made, registry = gate(answer)
    await made.warm("something")
    with pytest.raises(PolicyUnavailable):
        await made.judge(INTENT, asker("top"))
    labels = {"outcome": "failed", "level": "none", "where": "none"}
    assert registry.get_sample_value("vestige_policy_decisions_total", labels) == 1
    assert "something" not in capsys.readouterr().out


async def test_names_are_put_in_once_and_never_read_as_more() -> None:
    made, _ = gate(Reading("mature"), decline={"above": ["{char} says no to {user}."]})
    decision = await made.judge(INTENT, Asker("free", None, "{user}", "{char} {0}"))
    assert decision.text == "{user} says no to {char} {0}."
