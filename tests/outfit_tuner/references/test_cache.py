"""Pictures by the sha256 of their bytes: whole or not there, bounded, and safe for several processes."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from comfy_nodes.outfit_tuner.file_lock import FileLock, LockTimeout, locked
from comfy_nodes.outfit_tuner.references import (
    CacheFull,
    CacheUnwritable,
    NotCached,
    Pinned,
    ReferenceCache,
)

ROOT = Path(__file__).resolve().parents[3]
KB = 1024


def picture(number: int, size: int = KB) -> bytes:
    return number.to_bytes(8, "big") * (size // 8)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()} - {"lock"}


def used_ago(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


@pytest.fixture
def cache(tmp_path: Path) -> ReferenceCache:
    return ReferenceCache(tmp_path / "references", 10 * KB)


def aged(cache: ReferenceCache, tmp_path: Path, numbers: range) -> list[str]:
    """Puts pictures, the first one used longest ago."""
    hashes = [cache.put(picture(number))[0].sha256 for number in numbers]
    for age, name in enumerate(reversed(hashes)):
        path = tmp_path / "references" / name[:2] / name
        used_ago(path, 100 + age)
    return hashes


def test_the_same_bytes_are_kept_once(cache: ReferenceCache, tmp_path: Path) -> None:
    entry, new = cache.put(b"dress")
    again, new_again = cache.put(b"dress")
    assert (new, new_again) == (True, False)
    assert entry.sha256 == again.sha256 == sha256(b"dress")
    assert (entry.bytes, entry.pinned) == (5, False)
    assert cache.read(entry.sha256) == b"dress"
    assert files(tmp_path) == {entry.sha256}


def test_it_is_there_after_a_restart(cache: ReferenceCache, tmp_path: Path) -> None:
    name = cache.put(b"dress")[0].sha256
    cache.pin(name)
    other = ReferenceCache(tmp_path / "references", 10 * KB)
    assert other.read(name) == b"dress"
    assert [(entry.sha256, entry.pinned) for entry in other.entries()] == [(name, True)]
    assert other.usage().count == 1


def test_what_was_used_longest_ago_makes_room(cache: ReferenceCache, tmp_path: Path) -> None:
    hashes = aged(cache, tmp_path, range(10))
    cache.read(hashes[0])
    cache.put(picture(3))  # asked for again
    cache.put(picture(10))
    cache.put(picture(11))
    kept = {entry.sha256 for entry in cache.entries()}
    assert kept == {hashes[0], *hashes[3:], sha256(picture(10)), sha256(picture(11))}
    assert cache.usage().bytes == 10 * KB
    assert cache.entries()[0].sha256 == sha256(picture(11))


def test_pins_stay_and_count(cache: ReferenceCache, tmp_path: Path) -> None:
    hashes = aged(cache, tmp_path, range(10))
    for name in hashes[:9]:
        assert cache.pin(name).pinned
    cache.put(picture(20))
    cache.put(picture(21))
    assert {entry.sha256 for entry in cache.entries() if entry.pinned} == set(hashes[:9])
    assert cache.usage().pinned_bytes == 9 * KB
    with pytest.raises(CacheFull, match="unpin some"):
        cache.put(picture(22, 2 * KB))
    with pytest.raises(Pinned):
        cache.delete(hashes[0])
    assert not cache.unpin(hashes[0]).pinned
    assert not cache.unpin(hashes[0]).pinned
    cache.put(picture(22, 2 * KB))
    assert hashes[0] not in {entry.sha256 for entry in cache.entries()}


def test_what_is_larger_than_the_cache_is_refused_and_throws_nothing_out(cache: ReferenceCache, tmp_path: Path) -> None:
    aged(cache, tmp_path, range(10))
    with pytest.raises(CacheFull):
        cache.put(picture(99, 11 * KB))
    assert cache.usage().count == 10


def test_deleted_is_gone(cache: ReferenceCache, tmp_path: Path) -> None:
    name = cache.put(b"dress")[0].sha256
    cache.pin(name)
    cache.unpin(name)
    cache.delete(name)
    assert files(tmp_path) == set()
    for act in (cache.read, cache.entry, cache.pin, cache.unpin, cache.delete):
        with pytest.raises(NotCached):
            act(name)


@pytest.mark.parametrize("name", ["", "..", "../" * 20 + "etc/passwd", "A" * 64, "a" * 63, "a" * 64 + "\n", "٣" * 64])
def test_a_name_is_never_a_path(cache: ReferenceCache, name: str) -> None:
    for act in (cache.read, cache.entry, cache.pin, cache.unpin, cache.delete):
        with pytest.raises(NotCached):
            act(name)


@pytest.mark.parametrize("damage", [b"", b"dres", b"dresses", b"DRESS"])
def test_damaged_bytes_are_never_handed_out_and_can_be_added_again(
    cache: ReferenceCache, tmp_path: Path, damage: bytes
) -> None:
    name = cache.put(b"dress")[0].sha256
    path = tmp_path / "references" / name[:2] / name
    path.write_bytes(damage)
    with pytest.raises(NotCached, match="damaged"):
        cache.read(name)
    assert not path.exists()
    assert cache.put(b"dress")[1]
    path.write_bytes(damage)
    assert cache.put(b"dress")[1]  # mended
    assert cache.read(name) == b"dress"


def test_what_a_killed_process_left_half_written_is_swept_up(cache: ReferenceCache, tmp_path: Path) -> None:
    shard = tmp_path / "references" / "ab"
    shard.mkdir(parents=True)
    old, young = shard / f"{'ab' * 32}.1-2.part", shard / f"{'ab' * 32}.3-4.part"
    old.write_bytes(b"half")
    young.write_bytes(b"half")
    used_ago(old, 4000)
    cache.put(b"dress")
    assert (old.exists(), young.exists()) == (False, True)
    assert cache.usage().count == 1


# What one process of several does: puts the pictures of its range over and over, reads all, and says when it began.
HAMMER = """
import sys
from pathlib import Path
from comfy_nodes.outfit_tuner.references import NotCached, ReferenceCache
from tests.outfit_tuner.references.test_cache import picture, sha256
cache = ReferenceCache(Path(sys.argv[1]), int(sys.argv[2]))
first, rounds, size = map(int, sys.argv[3:])
print("on", flush=True)
for round in range(rounds):
    for number in range(first, first + 12):
        data = picture(number, size)
        name = cache.put(data)[0].sha256
        try:
            assert cache.read(name) == data
            if number % 4 == 0:
                cache.pin(name)
                cache.unpin(name)
        except NotCached as gone:
            assert "damaged" not in str(gone), gone
print("done", flush=True)
"""


def hammer(folder: Path, limit: int, first: int, rounds: int, size: int = KB) -> "subprocess.Popen[str]":
    arguments = [str(folder), *map(str, (limit, first, rounds, size))]
    return subprocess.Popen(
        [sys.executable, "-c", HAMMER, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_processes_at_once_neither_damage_nor_overfill_it(tmp_path: Path) -> None:
    folder = tmp_path / "references"
    running = [hammer(folder, 10 * KB, first, 15) for first in (0, 6)]
    for process in running:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, "on\ndone\n"), err
    cache = ReferenceCache(folder, 10 * KB)
    assert 0 < cache.usage().bytes <= 10 * KB
    for entry in cache.entries():
        cache.read(entry.sha256)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_killed_while_it_writes_leaves_nothing_half_written(tmp_path: Path) -> None:
    folder = tmp_path / "references"
    for delay in (0.0, 0.005, 0.02):
        with hammer(folder, 2**26, 0, 10_000, 2**20) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "on\n"
            time.sleep(delay)
            process.kill()
            process.communicate(timeout=30)
        assert process.returncode == -signal.SIGKILL
        cache = ReferenceCache(folder, 2**26)
        for entry in cache.entries():
            assert len(cache.read(entry.sha256)) == 2**20
        cache.put(bytes(2**20))  # the lock went with the process


FULL_DISK = """
import resource, sys
from pathlib import Path
from comfy_nodes.outfit_tuner.references import CacheUnwritable, ReferenceCache
cache = ReferenceCache(Path(sys.argv[1]), 2**26)
name = cache.put(b"dress")[0].sha256
resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, 2**16))  # the write stops half way, as on a full disk
try:
    cache.put(bytes(2**20))
except CacheUnwritable as refused:
    print(refused)
assert cache.read(name) == b"dress"
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
def test_a_write_that_the_disk_cuts_off_leaves_no_trace(tmp_path: Path) -> None:
    folder = tmp_path / "references"
    ran = subprocess.run(
        [sys.executable, "-c", FULL_DISK, folder], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "cannot be written to: File too large" in ran.stdout
    assert files(folder) == {sha256(b"dress")}


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder with one picture in it that this process cannot write to, though it be root's."""
    folder = tmp_path / "references"
    ReferenceCache(folder, 10 * KB).put(b"dress")
    root = os.geteuid() == 0
    open_to_all = [
        path for path in tmp_path.parents if root and path.stat().st_uid == 0 and not path.stat().st_mode & 1
    ]
    modes = {path: path.stat().st_mode for path in open_to_all}
    for path in open_to_all:
        path.chmod(0o711)
    for path in sorted(folder.rglob("*"), reverse=True):
        path.chmod(0o555 if path.is_dir() else 0o444)
    folder.chmod(0o555)
    tmp_path.chmod(0o755)
    if root:
        os.seteuid(65534)
    yield folder
    if root:
        os.seteuid(0)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    for path, mode in modes.items():
        path.chmod(mode)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_a_read_only_folder_can_be_read_and_says_that_it_is_read_only(read_only: Path) -> None:
    cache = ReferenceCache(read_only, 10 * KB)
    name = sha256(b"dress")
    assert cache.read(name) == b"dress"
    assert [entry.sha256 for entry in cache.entries()] == [name]
    for act in (lambda: cache.put(b"boots"), lambda: cache.pin(name), lambda: cache.delete(name)):
        with pytest.raises(CacheUnwritable, match="cannot be written to: Permission denied"):
            act()
    new = ReferenceCache(read_only / "elsewhere", 10 * KB)
    assert new.entries() == []
    with pytest.raises(CacheUnwritable):
        new.put(b"boots")


def test_a_file_in_the_place_of_the_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "references").write_text("")
    with pytest.raises(CacheUnwritable):
        ReferenceCache(tmp_path / "references", KB).put(b"dress")
    assert ReferenceCache(tmp_path / "references", KB).usage().count == 0


def test_a_lock_is_one_holders_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first, second = FileLock(path), FileLock(path)
    assert first.take()
    assert not second.take()
    with pytest.raises(LockTimeout), locked(path, seconds=0.05):
        pass
    first.release()
    assert second.take()
    second.release()
    with locked(path, seconds=0.05):
        assert not first.take()
