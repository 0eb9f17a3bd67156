"""What stops the start: a policy file and a routing file that contradict each other, a classifier that is not there."""

from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from server.errors import SettingsError
from server.memory.embedding import HashEmbedder
from server.policy.classifier import Intent
from server.policy.gate import Asker
from server.policy.open import open_gate
from server.settings import Settings

POLICY = 'levels = ["general", "mature"]\n[plans]\nfree = "general"\n'
ROUTING = """
default_mode = "everyday"
[models.one]
id = "a/one"
[modes.everyday]
level = "general"
[modes.scene]
level = "mature"
[tiers.free]
everyday = ["one"]
scene = ["one"]
"""


@pytest.fixture
def made(make_settings: Callable[..., Settings], tmp_path: Path) -> Callable[[str | None, str], Settings]:
    def make(policy: str | None, routing: str) -> Settings:
        (tmp_path / "routing.toml").write_text(routing)
        if policy is not None:
            (tmp_path / "policy.toml").write_text(policy)
        return make_settings(
            routing=tmp_path / "routing.toml", policy=None if policy is None else tmp_path / "policy.toml"
        )

    return make


async def test_a_mode_above_the_ceiling_is_declined_whatever_is_said(
    made: Callable[[str | None, str], Settings],
) -> None:
    async with open_gate(made(POLICY, ROUTING), HashEmbedder(), CollectorRegistry()) as gate:
        everyday = await gate.judge(Intent(["Hello there"]), Asker("free", None, "Mira", "Anna"))
        scene = await gate.judge(Intent(["Hello there"]), Asker("free", "scene", "Mira", "Anna"))
    assert (everyday.kind, scene.kind, scene.level) == (None, "declined", "mature")


@pytest.mark.parametrize(
    ("policy", "routing", "problem"),
    [
        (POLICY, ROUTING.replace('"mature"', '"wild"'), "modes.scene.level: the policy file has no level 'wild'"),
        (f'classifier = "no.such:thing"\n{POLICY}', ROUTING, "classifier 'no.such:thing' cannot be loaded"),
        (f'classifier = "json:nothing"\n{POLICY}', ROUTING, "classifier 'json:nothing' cannot be loaded"),
        (POLICY.replace("free", "plus"), ROUTING, "how far the plan 'free' goes"),
    ],
)
async def test_what_does_not_fit_stops_the_start(
    made: Callable[[str | None, str], Settings], policy: str, routing: str, problem: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        async with open_gate(made(policy, routing), HashEmbedder(), CollectorRegistry()):
            pass
    assert problem in caught.value.message


async def test_without_a_policy_file_modes_have_no_level(made: Callable[[str | None, str], Settings]) -> None:
    async with open_gate(made(None, ROUTING), HashEmbedder(), CollectorRegistry()) as gate:
        decision = await gate.judge(Intent(["Hello there"]), Asker("free", "scene", "Mira", "Anna"))
    assert decision.kind is None
