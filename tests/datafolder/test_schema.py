"""Older folders are carried forward, newer ones refused, and a crash in between is undone or finished."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from server.datafolder import DataFolder
from server.datafolder.schema import FIRST_VERSION, MIGRATIONS, Migration
from server.errors import DataFolderError


class PowerCut(BaseException):
    """The machine stops: nothing of ours runs any more."""


def schema(path: Path) -> dict:
    return json.loads((path / "schema.json").read_text())


def open_with(path: Path, *migrations: Migration) -> None:
    with DataFolder(path, migrations).open():
        pass


def files(path: Path) -> dict[str, str]:
    """Every file that is a person's, with what is in it."""
    ours = ("schema.json", "vestige.lock", "backup")
    found = (entry for entry in path.rglob("*") if entry.is_file())
    relative = {str(entry.relative_to(path)): entry.read_text() for entry in found}
    return {name: text for name, text in relative.items() if not name.startswith(ours)}


def rename_key(folder: Path) -> None:
    """Version 2: characters say `title` where they said `name`."""
    for path in (folder / "characters").glob("*.json"):
        card = json.loads(path.read_text())
        card["title"] = card.pop("name")  # a second run over the same file would fail
        path.write_text(json.dumps(card))


def add_index(folder: Path) -> None:
    """Version 3: a list of them."""
    names = sorted(path.name for path in (folder / "characters").glob("*.json"))
    (folder / "index.json").write_text(json.dumps(names))


TO_2 = Migration(2, ("characters",), rename_key)
TO_3 = Migration(3, ("index.json",), add_index)
OLD = {"characters/mira.json": '{"name": "Mira"}', "characters/theo.json": '{"name": "Theo"}'}
NEW = {"characters/mira.json": '{"title": "Mira"}', "characters/theo.json": '{"title": "Theo"}'}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A folder of version 1 with two characters."""
    path = tmp_path / "data"
    with DataFolder(path, ()).open() as folder:
        for name, text in OLD.items():
            (folder.path / name).write_text(text)
    return path


def test_a_new_folder_has_the_newest_version_and_runs_no_migration(tmp_path):
    def fail(_: Path) -> None:
        raise AssertionError

    open_with(tmp_path / "data", Migration(2, (), fail))
    written = schema(tmp_path / "data")
    assert written["version"] == 2
    assert written.keys() == {"version", "created", "vestige"}
    assert written["created"].endswith("+00:00")


def test_what_ships_is_numbered_one_after_the_other():
    assert [step.version for step in MIGRATIONS] == [FIRST_VERSION + 1 + n for n in range(len(MIGRATIONS))]


def test_an_older_folder_is_carried_through_every_version(old):
    created = schema(old)["created"]
    open_with(old, TO_2, TO_3)
    assert files(old) == NEW | {"index.json": '["mira.json", "theo.json"]'}
    assert schema(old)["version"] == 3
    assert schema(old)["created"] == created
    open_with(old, TO_2, TO_3)  # and only once


def test_what_changes_is_kept_as_it_was(old):
    open_with(old, TO_2, TO_3)
    first, second = sorted((old / "backup").iterdir())
    assert first.name.endswith("Z-v1") and second.name.endswith("Z-v2")
    assert files(first) == OLD
    assert files(second) == {}  # there was no index yet


def test_a_newer_folder_is_refused_and_left_as_it_is(old):
    open_with(old, TO_2)
    before = files(old) | {"schema": (old / "schema.json").read_text()}
    with pytest.raises(DataFolderError, match=r"newer vestige .*schema 2; this one knows 1\).*upgrade vestige"):
        open_with(old)
    assert files(old) | {"schema": (old / "schema.json").read_text()} == before


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": "1"}', '{"version": 0}', '{"created": "x"}'])
def test_a_damaged_schema_file_is_refused(old, text):
    (old / "schema.json").write_text(text)
    with pytest.raises(DataFolderError, match=r"schema\.json is damaged"):
        open_with(old)


def test_a_migration_that_fails_changes_nothing(old):
    def fail(folder: Path) -> None:
        rename_key(folder)
        (folder / "characters" / "half.json").write_text("{")
        raise ValueError("theo.json has no name")

    broken = Migration(2, ("characters", "index.json"), fail)
    with pytest.raises(DataFolderError, match=r"from schema 1 to 2 \(theo\.json has no name\); it is as it was"):
        open_with(old, broken)
    assert files(old) == OLD
    assert schema(old)["version"] == 1
    open_with(old, TO_2)
    assert files(old) == NEW


@pytest.mark.parametrize("when", ["before", "in the middle", "at the end"])
def test_a_crash_in_a_migration_is_finished_at_the_next_start(old, when):
    def crash(folder: Path) -> None:
        if when == "before":
            raise PowerCut
        if when == "in the middle":
            (folder / "characters" / "mira.json").write_text('{"title": "Mira"}')
            (folder / "characters" / "theo.json").unlink()
            raise PowerCut
        rename_key(folder)
        raise PowerCut

    with pytest.raises(PowerCut):
        open_with(old, Migration(2, ("characters",), crash))
    for _ in range(2):
        open_with(old, TO_2)
        assert files(old) == NEW
        assert schema(old).keys() == {"version", "created", "vestige"}
    assert len(list((old / "backup").iterdir())) == 1


@pytest.mark.parametrize(
    "point", ["backup copied", "backup named", "schema marked", "files restored", "schema finished"]
)
def test_a_crash_around_a_migration_is_finished_at_the_next_start(old, monkeypatch, point):
    cut_at = {
        "backup copied": ("pathlib.Path.replace", 1),  # the first rename is the backup's
        "backup named": ("os.sync", 1),
        "schema marked": ("os.fsync", 1),
        "files restored": ("os.sync", 2),
        "schema finished": ("os.fsync", 3),
    }[point]

    def interrupted(_: Path) -> None:
        raise ValueError("so that it restores")

    apply: Callable[[Path], None] = interrupted if point == "files restored" else rename_key
    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        _cut(patch, *cut_at)
        open_with(old, Migration(2, ("characters",), apply))
    open_with(old, TO_2)
    assert files(old) == NEW
    assert schema(old).keys() == {"version", "created", "vestige"}
    assert not list((old / "backup").glob("*.partial"))


def _cut(patch: pytest.MonkeyPatch, name: str, call: int) -> None:
    """The power goes at this call of a function."""
    module, _, attribute = name.rpartition(".")
    owner = Path if module == "pathlib.Path" else __import__(module)
    count = 0

    def cut(*_: object, **__: object) -> None:
        nonlocal count
        count += 1
        if count >= call:
            raise PowerCut

    patch.setattr(owner, attribute, cut)
