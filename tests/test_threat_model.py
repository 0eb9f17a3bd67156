"""The threat model names tests; they must be there."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_test_it_names_exists() -> None:
    named = set(re.findall(r"`(tests/[\w/.]+)`", (ROOT / "THREAT_MODEL.md").read_text(encoding="utf-8")))
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
