"""The tier → model table of a policy, for people: the terminal, the documentation, the README."""

import re
from collections.abc import Sequence

from server.routing.policy.model import PolicyFile

COLUMNS = ("tier", "mode", "content level", "models, the first one asked first", "first token", "whole reply")
BEGIN = "<!-- routing table: written by `vestige routing table --markdown`, checked by a test -->"
END = "<!-- end of the routing table -->"


def rows(policy: PolicyFile) -> list[Sequence[str]]:
    """A row for each tier and mode, and one for summaries where they have a chain; seconds."""
    found: list[Sequence[str]] = []
    for tier in policy.tiers:
        for name, mode in policy.modes.items():
            chain = policy.chain(tier, name)
            first, total = (
                chain.first_token_seconds or mode.first_token_seconds,
                chain.total_seconds or mode.total_seconds,
            )
            models = " → ".join(_shown(policy, model) for model in chain.chain)
            found.append((tier, name, mode.level or "–", models, f"{first:g} s", f"{total:g} s"))
    if (summary := policy.summary) is not None:
        models = " → ".join(_shown(policy, model) for model in summary.chain)
        seconds = f"{summary.first_token_seconds:g} s", f"{summary.total_seconds:g} s"
        found.append(("every tier", "(memory)", "–", models, *seconds))
    return found


def markdown(policy: PolicyFile) -> str:
    """The table between its two marks, with a line's end."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"| {' | '.join('---' for _ in COLUMNS)} |"]
    for tier, mode, level, models, first, total in rows(policy):
        quoted = " → ".join(f"`{model}`" for model in models.split(" → "))
        lines.append(f"| {tier} | {mode} | {level} | {quoted} | {first} | {total} |")
    return "\n".join((BEGIN, *lines, END)) + "\n"


def block(text: str) -> str | None:
    """The marked table in a page, marks included; None where there is none."""
    found = re.search(re.escape(BEGIN) + r".*?" + re.escape(END) + r"\n", text, re.DOTALL)
    return found[0] if found else None


def _shown(policy: PolicyFile, name: str) -> str:
    model = policy.models[name]
    return model.id if model.provider == "openrouter" else f"{model.id} ({model.provider})"
