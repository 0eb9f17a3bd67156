"""Stores that several servers share: a real Valkey and a real Chroma server, each a process of its own."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server.processes import plain_environment
from server.stores.valkey import valkey_binary
from tests.stores.waiting import until


@contextmanager
def shared_stores(folder: Path) -> Iterator[dict[str, str]]:
    """Settings that name them, and a folder of characters."""
    ports = [_free_port(), _free_port()]
    for name in ("valkey", "chroma", "characters"):
        (folder / name).mkdir(parents=True)
    valkey = [
        str(valkey_binary()), "--port", str(ports[0]), "--bind", "127.0.0.1", "--dir", str(folder / "valkey"),
        "--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction",
    ]  # fmt: skip
    chroma = [
        str(Path(sys.executable).with_name("chroma")), "run", "--path", str(folder / "chroma"),
        "--host", "127.0.0.1", "--port", str(ports[1]),
    ]  # fmt: skip
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for command in (valkey, chroma):
            processes.append(
                subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=plain_environment())
            )
        until(lambda: all(map(_listens, ports)), seconds=60)
        yield {
            "redis_url": f"redis://127.0.0.1:{ports[0]}/0",
            "chroma_url": f"http://127.0.0.1:{ports[1]}",
            "characters": str(folder / "characters"),
        }
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
