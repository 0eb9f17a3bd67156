"""What a chat turn costs apart from the model, and how that grows with what is remembered.

    python -m bench.turn [--json OUT] [--quick]

A real server (its own Valkey, embedded Chroma, the English embedder) in a process of its own answers over HTTP; the
model is `bench.upstream`, which replies at once. A turn is a 20-word message through `POST /v1/chat`, recall included.

* `p50_ms_1`, `p99_ms_1`: one client, one conversation after the other, fresh server.
* `p50_ms_50`, `turns_per_s_50`: 50 clients at once, each in a conversation of its own.
* `growth_wide`: p50 at one client with 100,000 windows over 10,000 conversations, a random one each turn (so its index
  is nearly always cold), divided by `p50_ms_1`.
* `growth_deep`: the same with 5,000 windows in the one conversation that is spoken to.
* `direct_p50_ms`: the same upstream asked without the server, in the same run.
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import numpy as np

from bench.report import add_json_argument, percentile, report
from bench.seeding import WORDS_PER_MESSAGE, seed, sentences, vocabulary
from server.accounts.principal import HOME
from server.cli.running import Running, find
from server.ids import Scope
from server.memory.embedding import make_embedder
from server.settings import Settings

_READY_SECONDS = 120.0
_MS = 1000.0


@contextmanager
def upstream() -> Iterator[str]:
    """The base URL of a model that replies at once."""
    with subprocess.Popen([sys.executable, "-m", "bench.upstream"], stdout=subprocess.PIPE, text=True) as process:
        try:
            port = process.stdout.readline().strip() if process.stdout else ""
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


@contextmanager
def server(data: Path, base_url: str, more: Mapping[str, str] | None = None) -> Iterator[Running]:
    """`vestige serve` on this folder, ready. `more`: settings as the environment has them."""
    plan = {"free": {"turns_per_minute": 100_000}}
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("VESTIGE_", "LLM_", "OPENROUTER_"))
    }
    env |= {"LLM_BASE_URL": base_url, "LLM_MODEL": "free", "VESTIGE_PLANS": json.dumps(plan)}
    env |= {"VESTIGE_WRITE_FACTS": "false", "VESTIGE_LOG_LEVEL": "error", **(more or {})}
    command = [sys.executable, "-m", "server.cli", "serve", "--data", str(data), "--port", "0"]
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL) as process:
        try:
            end = time.monotonic() + _READY_SECONDS
            while (running := find(data)) is None:
                if process.poll() is not None or time.monotonic() > end:
                    raise SystemExit("the server did not start")
                time.sleep(0.05)
            yield running
        finally:
            process.terminate()


class Client:
    """Sends turns as the owner, for any user, and times them in milliseconds."""

    def __init__(self, running: Running, session: aiohttp.ClientSession, texts: Iterator[str]) -> None:
        self._url, self._session, self._texts = f"{running.url}/v1/chat", session, texts
        self._headers = {"Authorization": f"Bearer {running.token}", "Accept": "application/json"}
        self.character = ""

    async def choose_character(self, url: str) -> str:
        """The first character of the server: a sample."""
        async with self._session.get(f"{url}/v1/characters", headers=self._headers) as response:
            self.character = (await response.json())["characters"][0]["id"]
        return self.character

    async def turn(self, user: str) -> float:
        """One turn of `user`; how long it took."""
        body = {"character_id": self.character, "message": next(self._texts), "user_id": user}
        began = time.perf_counter()
        async with self._session.post(self._url, json=body, headers=self._headers) as response:
            answer = await response.json()
            if response.status != 200:
                raise SystemExit(f"a turn failed: {answer}")
        return (time.perf_counter() - began) * _MS


async def direct(session: aiohttp.ClientSession, base_url: str, turns: int) -> list[float]:
    """The upstream alone, milliseconds."""
    times = []
    for _ in range(turns):
        began = time.perf_counter()
        async with session.post(f"{base_url}/chat/completions", json={"messages": []}) as response:
            await response.read()
        times.append((time.perf_counter() - began) * _MS)
    return times


async def one_by_one(client: Client, users: list[str], turns: int) -> list[float]:
    """Turns one after the other; the first tenth warms up and does not count."""
    warm = max(5, turns // 10)
    times = [await client.turn(random.choice(users)) for _ in range(warm + turns)]
    return times[warm:]


async def at_once(client: Client, clients: int, turns: int) -> tuple[list[float], float]:
    """`clients` that each send `turns` turns; their times, and turns per second of them all."""

    async def one(number: int) -> list[float]:
        return [await client.turn(f"crowd-{number}") for _ in range(turns)]

    began = time.perf_counter()
    times = await asyncio.gather(*(one(number) for number in range(clients)))
    return [each for row in times for each in row], clients * turns / (time.perf_counter() - began)


def measure(data: Path, base_url: str, users: list[str], turns: int, clients: int) -> dict[str, float]:
    """Starts a server on `data` and times it; with `clients` 0 only one by one."""

    async def run(running: Running) -> dict[str, float]:
        rng = np.random.default_rng(11)
        texts = sentences(rng, vocabulary(rng))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            client = Client(running, session, texts)
            await client.choose_character(running.url)
            alone = await one_by_one(client, users, turns)
            found = {"p50_ms_1": percentile(alone, 0.5), "p99_ms_1": percentile(alone, 0.99)}
            if clients:
                crowd, rate = await at_once(client, clients, max(4, turns // clients))
                found |= {"p50_ms_50": percentile(crowd, 0.5), "p99_ms_50": percentile(crowd, 0.99)}
                found |= {
                    "turns_per_s_50": rate,
                    "direct_p50_ms": percentile(await direct(session, base_url, 200), 0.5),
                }
            return found

    with server(data, base_url) as running:
        return asyncio.run(run(running))


def seeded(data: Path, character: str, conversations: int, windows: int) -> list[str]:
    """Fills `data` and returns the users whose conversations are there."""
    users = [f"user-{number}" for number in range(conversations)]
    settings = Settings(data=data)
    scopes = [Scope(HOME, user, character) for user in users]
    asyncio.run(seed(settings, make_embedder(settings.embedder, threads=1), scopes, windows))
    return users


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_json_argument(parser)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the sizes, to see that it runs")
    parser.add_argument("--turns", type=int, default=300, help="turns per measurement")
    args = parser.parse_args()
    conversations, wide, deep = (500, 10, 250) if args.quick else (10_000, 10, 5_000)
    turns = 40 if args.quick else args.turns
    random.seed(5)
    with tempfile.TemporaryDirectory(prefix="vestige-bench-") as root, upstream() as base_url:
        base = Path(root)
        print("fresh server …", flush=True)
        metrics = measure(base / "fresh", base_url, ["user-0"], turns, 50)
        character = first_character(base / "fresh")
        for name, count, windows in (("wide", conversations, wide), ("deep", 1, deep)):
            print(f"{name}: seeding {count * windows:,} windows in {count:,} conversations …", flush=True)
            users = seeded(base / name, character, count, windows)
            print(f"{name}: measuring …", flush=True)
            found = measure(base / name, base_url, users, turns, 0)
            metrics |= {f"p50_ms_{name}": found["p50_ms_1"], f"p99_ms_{name}": found["p99_ms_1"]}
            metrics[f"growth_{name}"] = found["p50_ms_1"] / metrics["p50_ms_1"]
    config = {"turns": turns, "words_per_message": WORDS_PER_MESSAGE, "embedder": "english", "quick": args.quick}
    config |= {"wide": f"{conversations}x{wide}", "deep": f"1x{deep}"}
    report("A turn apart from the model (milliseconds)", metrics, config, args.json)


def first_character(data: Path) -> str:
    """The id that every fresh data folder's first sample character has."""
    return sorted(path.name for path in (data / "characters" / HOME).iterdir() if path.is_dir())[0]


if __name__ == "__main__":
    main()
