"""Hashes in the background: one thread, one file at a time, and what fails does not stop the rest."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from comfy_nodes.outfit_tuner.file_hashes import FileHashes
from comfy_nodes.outfit_tuner.hashing import BackgroundHashes


class Slow(FileHashes):
    """Lets a test say when a file is done."""

    def __init__(self) -> None:
        super().__init__(None)
        self.go, self.read = threading.Event(), list[str]()

    def sha256(self, path: Path, progress: Callable[[int, int], None] | None = None) -> str:
        assert self.go.wait(10)
        self.read.append(path.name)
        return super().sha256(path, progress)


def until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + 10
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.002)


def test_each_file_once_in_the_order_asked(tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.safetensors" for n in range(5)]
    for path in paths[:4]:  # the last one is not there
        path.write_bytes(path.name.encode())
    hashes = Slow()
    background = BackgroundHashes(hashes)
    background.want([paths[4], paths[2]])
    background.want(paths)
    assert background.left == 5
    assert sum(thread.name == "vestige-hashes" for thread in threading.enumerate()) == 1
    hashes.go.set()
    until(lambda: background.left == 0)
    assert hashes.read == ["4.safetensors", "2.safetensors", "0.safetensors", "1.safetensors", "3.safetensors"]
    assert all(hashes.known(path) for path in paths[:4])


def test_it_begins_again_when_it_had_ended(tmp_path: Path) -> None:
    hashes = Slow()
    hashes.go.set()
    background = BackgroundHashes(hashes)
    late = tmp_path / "late.safetensors"
    background.want([late])
    until(lambda: background.left == 0)
    late.write_bytes(b"whole now")
    background.want([late])
    until(lambda: background.left == 0)
    assert hashes.known(late)
    background.want([])
    assert background.left == 0
