"""The gate that the settings ask for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from prometheus_client import CollectorRegistry

from server.errors import SettingsError
from server.memory.embedding.base import Embedder
from server.policy.classifier import make_classifier
from server.policy.gate import Gate
from server.policy.model import ContentPolicy
from server.policy.reading import examples_of, load_policy
from server.routing.policy.reading import load_policy as load_routing
from server.settings import Settings

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def open_gate(settings: Settings, embedder: Embedder, registry: CollectorRegistry) -> AsyncIterator[Gate]:
    """The content gate. Its examples are read in the background: the first turn waits for what is left of that.

    Raises:
        SettingsError: the policy file cannot be used, or a content mode names a level that it does not have.
    """
    policy = load_policy(settings.policy, settings.plans)
    examples = examples_of(policy) if policy.classifier == "examples" else {}
    modes, default = _modes(settings, policy)
    gate = Gate(
        policy, make_classifier(policy, examples, embedder), modes=modes, default_mode=default, registry=registry
    )
    if len(policy.levels) > 1 and settings.embedder == "english":
        _log.warning("the content levels of other languages than English are hardly told apart: embedder=multilingual")
    preparing = asyncio.create_task(gate.classifier.prepare(), name="policy")
    preparing.add_done_callback(_say)
    try:
        yield gate
    finally:
        preparing.cancel()
        await asyncio.gather(preparing, return_exceptions=True)


def _modes(settings: Settings, policy: ContentPolicy) -> tuple[dict[str, str | None], str | None]:
    """Mode → its level, and the mode of a turn that names none."""
    if settings.routing is None:
        return {}, None
    file = load_routing(settings.routing, settings.plans)
    levels = {name: mode.level for name, mode in file.modes.items()}
    if not policy.open:
        for name, level in levels.items():
            if level is not None and level not in policy.levels:
                raise SettingsError(
                    f"{settings.routing}: modes.{name}.level: the policy file has no level {level!r}: there is "
                    f"{', '.join(policy.levels)}."
                )
    return levels, file.default_mode


def _say(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.warning("policy_not_ready", error=type(error).__qualname__)
