"""What a rule is."""

from collections.abc import Callable
from dataclasses import dataclass

from server.training.config_file import Config
from server.training.findings import Severity

__all__ = ["Rule", "needed"]


@dataclass(frozen=True, slots=True)
class Rule:
    """`broken` says whether a configuration breaks it; the finding stands at the first of `keys` that was given."""

    severity: Severity
    kind: str
    keys: tuple[str, ...]
    broken: Callable[[Config], bool]
    text: str


def needed(name: str, kind: str, text: str) -> Rule:
    """A key without which the trainer does not run."""
    return Rule("error", kind, (name,), lambda c: not c.on(name), text)
