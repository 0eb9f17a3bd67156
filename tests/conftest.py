"""Of the whole suite: how two workers share it, and its fixtures: a real Valkey, a real Chroma, settings over a fresh
folder."""

import asyncio
import logging
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from xdist.scheduler import LoadFileScheduling

from server.datafolder import DataFolder
from server.memory.embedding.hashing import HashEmbedder
from server.settings import Settings
from server.stores.chroma import ChromaShards, open_chroma
from server.stores.redis import RedisPair, open_redis
from server.stores.valkey import EmbeddedValkey, valkey_binary
from tests.fakes.s3 import BUCKET, emptied, s3_server

LOOK = """
import os, sys
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        path = os.path.join(folder, name)
        if os.path.isfile(path) and sys.argv[2].encode() in open(path, "rb").read():
            print(os.path.relpath(path, sys.argv[1]))
"""
KNOWN_ENVIRONMENT = (
    "REDIS_URL",
    "CACHE_REDIS_URL",
    "CHROMA_URL",
    "OPENROUTER_API_KEY",
    "LLM_BASE_URL",
    "LLM_API_KEY",
    "LLM_MODEL",
)


LONG = (
    "tests/comfyui/",
    "tests/system/",
    "tests/cli/",
)  # few tests and long ones: were they begun last, all would wait


class OneProcessForComfyUI(LoadFileScheduling):
    """`--dist loadfile`, but all of `tests/comfyui` goes to one process: a real ComfyUI is started once."""

    def _split_scope(self, nodeid: str) -> str:
        path = super()._split_scope(nodeid)
        return "tests/comfyui" if path.startswith("tests/comfyui/") else path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneProcessForComfyUI | None:
    if config.getvalue("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False  # it would begin with the files of many tests, which are the short ones
    return OneProcessForComfyUI(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):  # a person who waits at one process wants the short ones first
        items.sort(key=lambda item: not item.nodeid.startswith(LONG))


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is set in the shell that runs the tests, keys above all, must not reach them."""
    for name in list(os.environ):
        if name in KNOWN_ENVIRONMENT or name.startswith(("VESTIGE_", "AWS_")):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """A command that a test calls sets up the log of the whole process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    if structlog.is_configured():
        structlog.reset_defaults()


@pytest.fixture(scope="module", autouse=True)
def _workers_end_with_their_module() -> Iterator[None]:
    """Their threads draw random numbers, which disturbs Hypothesis in whatever comes after."""
    yield
    left = [thread.name for thread in threading.enumerate() if type(thread).__module__ == "dramatiq.worker"]
    assert not left, "a worker outlives this module: open it in a fixture of the module's scope"


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., Settings]:
    """`make_settings(**fields)`: settings over this test's own folder, with the embedder that needs no model."""

    def make(**fields: Any) -> Settings:
        return Settings(**({"data": tmp_path / "data", "embedder": "hash"} | fields))

    return make


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings()


@pytest.fixture
def folder(settings: Settings) -> Iterator[DataFolder]:
    """An open, empty data folder at `settings.data`."""
    with DataFolder(settings.data).open() as opened:
        yield opened


@pytest.fixture
def on_disk(settings: Settings) -> Callable[[str], list[str]]:
    """`on_disk(text)`: the files of the data folder that hold this text.

    Another process looks: were this one to open and close Chroma's database, SQLite would lose its locks on it.
    """

    def look(text: str) -> list[str]:
        argv = [sys.executable, "-I", "-c", LOOK, str(settings.data), text]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()

    return look


@pytest.fixture(scope="session")
def valkey_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of one Valkey for this test process; use `redis_pair`, which empties it first."""
    path = tmp_path_factory.mktemp("valkey")
    for sub in ("redis", "run"):
        (path / sub).mkdir()
    valkey = EmbeddedValkey(path / "redis", path / "run", path / "run" / "valkey.sock", valkey_binary())
    asyncio.run(valkey.launch())
    yield valkey.socket
    asyncio.run(valkey.stop())


@pytest.fixture
async def redis_pair(
    valkey_socket: Path, make_settings: Callable[..., Settings], tmp_path: Path
) -> AsyncIterator[RedisPair]:
    """Both Redis clients, connected to an empty store."""
    async with open_redis(make_settings(redis_url=f"unix://{valkey_socket}"), DataFolder(tmp_path / "data")) as pair:
        await pair.state.flushall()
        yield pair


@pytest.fixture(scope="session")
def s3_address() -> Iterator[str]:
    """One S3 for this test process; use `s3`, which empties it first."""
    with s3_server() as address:
        yield address


@pytest.fixture
def s3(s3_address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The `objects_url` of an empty bucket; AWS' variables lead there."""
    for name, value in emptied(s3_address).items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/some/prefix"


@pytest.fixture
async def chroma(settings: Settings, folder: DataFolder) -> AsyncIterator[ChromaShards]:
    """An embedded, empty Chroma in this test's own folder, for the embedder of `settings` (about 30 ms)."""
    async with open_chroma(settings, folder, dim=HashEmbedder.dim, embedder_id=HashEmbedder.id) as shards:
        yield shards
