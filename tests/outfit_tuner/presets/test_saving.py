"""Saving while others save, while the disk is full, and while the process is killed."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from comfy_nodes.outfit_tuner.presets import PresetNotSaved, PresetStore
from comfy_nodes.outfit_tuner.tuning import TuningValues

ROOT = Path(__file__).parents[3]
VALUES = TuningValues()
SAVER = """
import sys
from pathlib import Path
from comfy_nodes.outfit_tuner.presets import PresetStore
from comfy_nodes.outfit_tuner.tuning import TuningValues
store = PresetStore(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    print(store.save("dress", TuningValues(), notes=sys.argv[3]).version, flush=True)
"""


def saver(folder: Path, times: int, notes: str) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", SAVER, str(folder), str(times), notes],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def test_two_processes_saving_at_once_get_a_version_each_time(tmp_path: Path) -> None:
    children = [saver(tmp_path, 25, notes) for notes in ("ada", "ben")]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    got = {notes: child.communicate()[0].split() for notes, child in zip(("ada", "ben"), children, strict=True)}
    assert sorted(int(number) for numbers in got.values() for number in numbers) == list(range(1, 51))
    store = PresetStore(tmp_path)
    for notes, numbers in got.items():
        assert {store.load(f"dress@{number}").notes for number in numbers} == {notes}


def test_a_killed_process_leaves_whole_versions_and_nothing_else_for_long(tmp_path: Path) -> None:
    child = saver(tmp_path, 10_000, "x" * 8000)
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write("go\n")
    child.stdin.flush()
    for _ in range(20):
        child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    child.communicate()
    store = PresetStore(tmp_path)
    saved = len(store.versions("dress"))
    assert saved >= 20
    listing = store.list()
    assert listing.damaged == ()
    left = tmp_path / "dress/.saving-left"
    left.write_text("half")
    os.utime(left, (0, time.time() - 7200))
    assert store.save("dress", VALUES).version == saved + 1
    assert not left.exists()


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "The disk is full: nothing was saved"),
        (errno.EDQUOT, "The disk is full"),
        (errno.EROFS, "cannot be written. Check its owner"),
        (errno.EACCES, "cannot be written"),
        (errno.EIO, "Input/output error"),
    ],
)
@pytest.mark.parametrize("step", ["fsync", "link"])
def test_a_disk_that_fails_is_said_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, message: str, step: str
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(number, os.strerror(number), "the file")

    store = PresetStore(tmp_path)
    first = store.save("dress", VALUES)
    monkeypatch.setattr(os, step, fail)
    with pytest.raises(PresetNotSaved, match=message):
        store.save("dress", VALUES)
    monkeypatch.undo()
    assert [path.name for path in (tmp_path / "dress").iterdir()] == ["v1.json"]
    assert store.load("dress") == first


@pytest.fixture
def no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EPERM, "no hard links on this file system")

    monkeypatch.setattr(os, "link", refuse)


@pytest.mark.usefixtures("no_links")
def test_a_file_system_without_hard_links_still_never_overwrites(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = PresetStore(tmp_path)
    store.save("dress", VALUES, notes="first")
    monkeypatch.setattr("comfy_nodes.outfit_tuner.presets.store._files", _blind_once())
    assert store.save("dress", VALUES, notes="second").version == 2
    assert store.load("dress@1").notes == "first"
    assert sorted(path.name for path in (tmp_path / "dress").iterdir()) == ["v1.json", "v2.json"]


def _blind_once() -> Callable[[Path], list[tuple[int, str]]]:
    """A look at the folder from just before another process saved version 1."""
    looks = iter(([], [(1, "v1.json")], [(1, "v1.json"), (2, "v2.json")], [(1, "v1.json"), (2, "v2.json")]))
    return lambda _: next(looks)


def test_a_folder_that_may_not_be_written_is_said(tmp_path: Path) -> None:
    """As another account where the tests run as the superuser, who may write anywhere."""
    folder = tmp_path / "presets"
    folder.mkdir(mode=0o555)
    script = f"""
import os
if os.geteuid() == 0:
    os.seteuid(65534)
try:
    PresetStore(Path({str(folder)!r})).save("dress", TuningValues())
except ValueError as error:
    print(type(error).__name__, error)
"""
    imports = "\n".join(line for line in SAVER.splitlines() if "import" in line)
    if os.geteuid() == 0:
        for parent in (tmp_path, *tmp_path.parents[:2]):
            parent.chmod(parent.stat().st_mode | 0o111)
    done = subprocess.run([sys.executable, "-c", imports + script], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.startswith("PresetNotSaved Nothing was saved: "), done
    assert "cannot be written" in done.stdout
