"""A store of characters in an empty folder, and a clock that can be set."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from server.catalog.store import CharacterStore


class Clock:
    """A time that moves only when told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **units: float) -> None:
        self.now += timedelta(**units)


def files_under(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, by its path within it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "characters"


@pytest.fixture
def store(folder: Path, clock: Clock) -> CharacterStore:
    return CharacterStore(folder, clock=clock)
