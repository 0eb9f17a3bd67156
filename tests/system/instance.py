"""`vestige serve` as a process of its own: started, spoken to, and killed.

async with start(data, fake.base_url) as server:
    await server.say("mira", "Hello")
    server.kill()
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.harness import Client

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0
STOP_SECONDS = 100.0
PLANS = json.dumps({"free": {"turns_per_minute": 100_000}})


@dataclass
class Instance(Client):
    """A server process over `data`. `token` is the owner's; `log` is what it printed so far."""

    process: subprocess.Popen[bytes]
    data: Path
    output: Path
    port: int
    token: str
    session: aiohttp.ClientSession

    @property
    def log(self) -> str:
        return read(self.output)

    def valkey(self) -> int:
        """The pid of its Valkey."""
        found = [pid for pid, name in children(self.process.pid).items() if "valkey" in name or "redis" in name]
        assert len(found) == 1, found
        return found[0]

    async def kill(self) -> None:
        """kill -9; returns when it, and everything it had started, is gone."""
        family = {self.process.pid, *descendants(self.process.pid)}
        self.process.kill()
        await self.ended()
        await until_gone(family)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signals it; its exit code."""
        self.process.send_signal(number)
        return await self.ended()

    async def ended(self) -> int:
        """Its exit code, once it has ended."""
        return await asyncio.to_thread(self.process.wait, STOP_SECONDS)


@asynccontextmanager
async def start(data: Path, base_url: str | None, *arguments: str, **settings: object) -> AsyncIterator[Instance]:
    """A server that is ready; killed on the way out where it still runs.

    Args:
        base_url: of the model server; None is for the model that is bundled.
        arguments: of `vestige serve`, beside `--data` and `--port`.
        settings: in place of the ones for tests, by field name.
    """
    output = data.with_name(f"{data.name}-{time.monotonic_ns()}.log")
    process = spawn(data, base_url, *arguments, output=output, **settings)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        try:
            port, token = await _announced(process, data, output)
            yield Instance(process, data, output, port, token, session)
        finally:
            process.kill()
            await asyncio.to_thread(process.wait, STOP_SECONDS)


def spawn(
    data: Path, base_url: str | None, *arguments: str, output: Path, **settings: object
) -> subprocess.Popen[bytes]:
    """The process, right after its start. `output` gets all it prints."""
    command = ["serve", "--data", str(data), *(() if "--port" in arguments else ("--port", "0")), *arguments]
    with output.open("wb") as file:
        return subprocess.Popen(
            vestige(*command),
            env=environment(base_url, **settings),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
        )


async def vestige_run(*arguments: str, **settings: object) -> tuple[int, str, str]:
    """`vestige …` to its end: exit code, stdout, stderr."""

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            vestige(*arguments), env=environment(**settings), capture_output=True, text=True, cwd=ROOT, timeout=60
        )

    done = await asyncio.to_thread(run)
    return done.returncode, done.stdout, done.stderr


def vestige(*arguments: str) -> list[str]:
    """The command line of `vestige …`."""
    return [sys.executable, "-m", "server.cli", *arguments]


def environment(base_url: str | None = None, /, **settings: object) -> dict[str, str]:
    """Of a server under test: nothing from this shell, no meaning in the embedder, no limit on turns."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("VESTIGE_") and not name.endswith(("_API_KEY", "_URL", "LLM_MODEL"))
    }
    given = {"embedder": "hash", "shards": 1, "write_facts": "false", "plans": PLANS, "log_level": "warning"} | settings
    named = {f"VESTIGE_{name.upper()}": str(value) for name, value in given.items()}
    model = {} if base_url is None else {"LLM_BASE_URL": base_url, "LLM_MODEL": "fake-model"}
    return kept | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"} | named | model


async def _announced(process: subprocess.Popen[bytes], data: Path, output: Path) -> tuple[int, str]:
    """Port and owner's token, once it is ready: what the command line finds a running server by."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            told = json.loads((data / "run" / "server.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):  # not there yet, or half written
            told = {}
        if told.get("pid") == process.pid:
            return int(told["url"].rpartition(":")[2]), told["token"]
        await asyncio.sleep(0.01)
    raise AssertionError(f"the server did not start:\n{read(output)}")


def read(output: Path) -> str:
    """What a process has printed so far."""
    return output.read_text(encoding="utf-8", errors="replace")


def children(parent: int) -> dict[int, str]:
    """The processes that this one has started and that still run: pid → name of the program."""
    return {pid: name for pid, above, name in _processes() if above == parent}


def descendants(parent: int) -> set[int]:
    """Its children, their children and so on."""
    found: set[int] = set()
    level = [parent]
    table = _processes()
    while level:
        level = [pid for pid, above, _ in table if above in level and pid not in found]
        found.update(level)
    return found


def running(pids: Sequence[int] | set[int]) -> set[int]:
    """Those that run. One that only waits to be reaped does not."""
    return {pid for pid, _, _ in _processes()} & set(pids)


async def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    """Returns as soon as `true()`; fails after `seconds`, which a working program never needs."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true"
        await asyncio.sleep(0.002)


async def until_gone(pids: set[int]) -> None:
    """Returns when none of these processes runs."""
    await until(lambda: not running(pids))


def _processes() -> list[tuple[int, int, str]]:
    """`(pid, parent's pid, name)` of all that run on this machine."""
    if not Path("/proc/self").exists():
        listed = subprocess.run(["ps", "-axo", "pid=,ppid=,stat=,comm="], capture_output=True, text=True, check=True)
        rows = (line.split(None, 3) for line in listed.stdout.splitlines())
        return [(int(pid), int(above), name) for pid, above, state, name in rows if not state.startswith("Z")]
    found: list[tuple[int, int, str]] = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            head, _, rest = (path / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")
        except OSError:  # it ended meanwhile
            continue
        state, above = rest.split()[:2]
        if state not in "ZX":
            found.append((int(path.name), int(above), head.partition("(")[2]))
    return found
