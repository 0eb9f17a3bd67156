"""The tier → model table, and that the pages show the one of the example that ships."""

from pathlib import Path

import pytest

from server.routing.policy.reading import example, read_policy
from server.routing.policy.table import block, markdown, rows

ROOT = Path(__file__).resolve().parents[3]


def shipped() -> str:
    policy, _ = read_policy(example())
    assert policy is not None
    return markdown(policy)


@pytest.mark.parametrize("page", ["README.md", "docs/routing.md"])
def test_the_pages_show_what_the_example_says(page: str) -> None:
    assert block((ROOT / page).read_text(encoding="utf-8")) == shipped(), (
        "put there what this prints: vestige routing table --markdown"
    )


def test_a_row_for_each_tier_and_mode_and_for_memory() -> None:
    policy, _ = read_policy(example())
    assert policy is not None
    found = rows(policy)
    assert [(row[0], row[1]) for row in found] == [
        ("free", "everyday"),
        ("free", "instant"),
        ("free", "scene"),
        ("every tier", "(memory)"),
    ]
    assert found[1][3].endswith("→ smollm2-135m-instruct (bundled)")
    assert found[1][4] == "3 s"
