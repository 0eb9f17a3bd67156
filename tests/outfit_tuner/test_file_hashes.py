"""A model file is hashed once for each of its states, in this process and in the next."""

import hashlib
import json
import logging
import multiprocessing
import os
from pathlib import Path

import pytest

from comfy_nodes.outfit_tuner.file_hashes import FileHashes
from comfy_nodes.outfit_tuner.safetensors_header import ModelFileError

YESTERDAY = 1_700_000_000_000_000_000  # nanoseconds


def written(path: Path, content: bytes, mtime_ns: int = YESTERDAY) -> Path:
    path.write_bytes(content)
    os.utime(path, ns=(mtime_ns, mtime_ns))
    return path


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def unreadable(path: Path) -> None:
    """Same size and time, other bytes: only a remembered hash can still be the old one."""
    stat = path.stat()
    path.write_bytes(bytes(stat.st_size))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize("size", [0, 1, 8 * 2**20, 8 * 2**20 + 3])
def test_it_is_the_sha256_of_the_bytes(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    assert FileHashes(None).sha256(written(tmp_path / "a", content)) == digest(content)


def test_it_is_remembered_here_and_by_the_next_process(tmp_path: Path) -> None:
    path = written(tmp_path / "модель.safetensors", b"weights")
    first = FileHashes(tmp_path / "hashes")
    assert first.known(path) is None
    assert first.sha256(path) == digest(b"weights")
    unreadable(path)
    assert first.known(path) == digest(b"weights")
    assert FileHashes(tmp_path / "hashes").sha256(path) == digest(b"weights")


@pytest.mark.parametrize(("content", "mtime_ns"), [(b"weightz", YESTERDAY + 1), (b"weights and more", YESTERDAY)])
def test_another_size_or_time_is_another_file(tmp_path: Path, content: bytes, mtime_ns: int) -> None:
    path = written(tmp_path / "a", b"weights")
    hashes = FileHashes(tmp_path / "hashes")
    hashes.sha256(path)
    written(path, content, mtime_ns)
    assert hashes.sha256(path) == digest(content)
    assert FileHashes(tmp_path / "hashes").sha256(path) == digest(content)
    assert len(list((tmp_path / "hashes").iterdir())) == 1


def test_a_file_of_a_moment_ago_is_not_yet_remembered_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"weights")
    FileHashes(tmp_path / "hashes").sha256(path)
    assert not (tmp_path / "hashes").exists()


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"[]", b"null", b"[" * 100_000, json.dumps({"bytes": 7, "mtime_ns": YESTERDAY, "sha256": 5}).encode()],
)
def test_a_damaged_entry_is_computed_again_and_mended(tmp_path: Path, damage: bytes) -> None:
    path = written(tmp_path / "a", b"weights")
    FileHashes(tmp_path / "hashes").sha256(path)
    (entry,) = (tmp_path / "hashes").iterdir()
    entry.write_bytes(damage)
    assert FileHashes(tmp_path / "hashes").sha256(path) == digest(b"weights")
    assert json.loads(entry.read_bytes())["sha256"] == digest(b"weights")


def test_a_folder_that_cannot_be_written_to_is_said_once_and_done_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    hashes = FileHashes(tmp_path / "file" / "hashes")
    with caplog.at_level(logging.WARNING):
        for name in ("a", "b", "c"):
            assert hashes.sha256(written(tmp_path / name, name.encode())) == digest(name.encode())
    assert len(caplog.records) == 1
    assert "hashed anew at each start" in caplog.text


def test_progress_is_told_and_may_end_the_work(tmp_path: Path) -> None:
    path = written(tmp_path / "a", bytes(20 * 2**20))
    told: list[tuple[int, int]] = []
    FileHashes(None).sha256(path, lambda done, total: told.append((done, total)))
    assert told == [(8 * 2**20, 20 * 2**20), (16 * 2**20, 20 * 2**20), (20 * 2**20, 20 * 2**20)]

    def interrupt(done: int, total: int) -> None:
        raise InterruptedError

    hashes = FileHashes(None)
    with pytest.raises(InterruptedError):
        hashes.sha256(path, interrupt)
    assert hashes.sha256(path) == digest(bytes(20 * 2**20))


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a", bytes(20 * 2**20))

    def grow(done: int, total: int) -> None:
        with path.open("ab") as file:
            file.write(b"more")

    with pytest.raises(ModelFileError, match="a is still being written: wait until it is whole and try again"):
        FileHashes(None).sha256(path, grow)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert FileHashes(tmp_path).known(tmp_path / "none") is None
    with pytest.raises(ModelFileError, match="none cannot be read"):
        FileHashes(tmp_path).sha256(tmp_path / "none")


def _hash_all(folder: Path) -> None:
    hashes = FileHashes(folder / "hashes")
    for path in sorted(folder.glob("*.bin")):
        assert hashes.sha256(path) == digest(path.name.encode() * 999)


def test_two_processes_at_once(tmp_path: Path) -> None:
    for at in range(40):
        written(tmp_path / f"{at}.bin", f"{at}.bin".encode() * 999)
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_hash_all, args=(tmp_path,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    entries = list((tmp_path / "hashes").iterdir())
    assert len(entries) == 40
    assert all(entry.suffix == ".json" for entry in entries)
