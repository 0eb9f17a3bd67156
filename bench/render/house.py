"""A whole server, its Valkey, workers and fake hosts, each in processes of its own, and a client of them all."""

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from bench.closed_loop import Target, post
from bench.render.hosts import Pace, Run
from bench.turn import server, upstream
from server.cli.running import Running
from server.datafolder import DataFolder
from server.stores.valkey import running_socket

PATIENCE = 120.0
"""Seconds without a render that ended, after which something is broken."""
STOP_SECONDS = 30.0
"""A server's limits, so that none of them is what is measured."""
_SETTINGS = {"key_requests_per_minute": 1_000_000, "render_waiting": 10_000, "render_workers": 0, "prerender": False}


class Hosts:
    """The fake hosts. `urls` by number."""

    def __init__(self, desk: str, urls: Sequence[str]) -> None:
        self._desk = httpx.Client(base_url=desk, timeout=30.0)
        self.urls = urls

    def pace(self, pace: Pace) -> None:
        self._desk.post("/pace", json={"render": pace.render, "swap": pace.swap}).raise_for_status()

    def hold(self) -> None:
        """Nothing begins until `open`."""
        self._desk.post("/hold").raise_for_status()

    def open(self) -> None:
        self._desk.post("/open").raise_for_status()

    @property
    def ended(self) -> int:
        """How many renders have ended since the start."""
        return int(self._desk.get("/ended").json())

    def told(self) -> list[Run]:
        """The renders since it was asked last."""
        return [Run(**run) for run in self._desk.post("/told").json()]

    def until(self, ended: int) -> None:
        """Returns once so many renders have ended."""
        known, since = -1, time.monotonic()
        while (now := self.ended) < ended:
            if now != known:
                known, since = now, time.monotonic()
            if time.monotonic() - since > PATIENCE:
                raise SystemExit(f"nothing was rendered for {PATIENCE:.0f} s; {now:,} of {ended:,} renders are done")
            time.sleep(0.05)


@dataclass(frozen=True, slots=True)
class Pair:
    """A character and an item."""

    character: str
    item: str

    def ask(self, variant: int) -> dict[str, object]:
        """The body of an ask; each variant is a picture of its own."""
        return {"character_id": self.character, "item_id": self.item, "variant": variant}


class House:
    """A server with workers that are started as they are needed."""

    def __init__(self, running: Running, data: Path, hosts: Hosts) -> None:
        self.hosts = hosts
        self.running = running
        self._data = data
        self._port = int(running.url.rpartition(":")[2])
        self._headers = {"Authorization": f"Bearer {running.token}"}
        self._client = httpx.Client(base_url=running.url, headers=self._headers, timeout=60.0)

    @contextmanager
    def worker(self, *, at_random: bool = False) -> Iterator[int]:
        """A worker that runs until left; its pid."""
        module = ["bench.render.worker"] if at_random else ["server.cli", "worker"]
        redis = f"unix://{running_socket(DataFolder(self._data).redis)}"
        env = _environment(_hosts(self.hosts.urls)) | {"VESTIGE_REDIS_URL": redis, "VESTIGE_DATA": str(self._data)}
        with subprocess.Popen([sys.executable, "-m", *module], env=env, stdout=subprocess.DEVNULL) as process:
            try:
                yield process.pid
            finally:
                process.terminate()
                process.wait(STOP_SECONDS)

    def use(self, count: int) -> None:
        """Only the first so many hosts get work."""
        for number in range(len(self.hosts.urls)):
            self._call("POST", f"/v1/admin/hosts/gpu{number}/drain", json={"on": number >= count})

    def pairs(self, characters: int, items: int) -> list[Pair]:
        """Every character with every item; each character has a checkpoint of its own."""
        reference = self._call("POST", "/v1/references", content=_picture(), headers={"Content-Type": "image/png"})
        drafts = [
            {"title": f"Coat {n}", "category": "outfit", "reference": reference["sha256"], "prompt_hint": f"coat {n}"}
            for n in range(items)
        ]
        coats = [self._call("POST", "/v1/items", json=draft)["id"] for draft in drafts]
        people = [self._character(number) for number in range(characters)]
        return [Pair(person, coat) for person in people for coat in coats]

    def ask(self, pair: Pair, variant: int) -> str:
        """The state that a picture is in after it was asked for."""
        return self._call("POST", "/v1/previews", json=pair.ask(variant))["state"]

    def target(self, bodies: Sequence[Mapping[str, object]], status: int) -> Target:
        """Asks for pictures, all of which are answered with `status`."""
        return Target(self._port, [post(self._port, "/v1/previews", body, self._headers) for body in bodies], status)

    def counts(self) -> Mapping[str, int]:
        """How many jobs are kept in each state that is no end with a picture."""
        states = ("waiting", "running", "failed", "dead", "cancelled")
        return {one: len(self._call("GET", f"/v1/admin/jobs?state={one}")["jobs"]) for one in states}

    def _character(self, number: int) -> str:
        made = self._call("POST", "/v1/characters", json={"name": f"Person {number}", "shared": True})
        scene = {"prompt": "in a garden", "width": 64, "height": 96, "steps": 4}
        look = {"checkpoint": f"base-{number}.safetensors", "scene": scene}
        self._call("PUT", f"/v1/characters/{made['id']}/look", json=look)
        return made["id"]

    def _call(self, method: str, path: str, **more: Any) -> Any:
        answer = self._client.request(method, path, **more)
        if answer.is_error:
            raise SystemExit(f"{method} {path}: {answer.text[:600]}")
        return answer.json()


@contextmanager
def house(data: Path, *, hosts: int, checkpoints: int, pace: Pace) -> Iterator[House]:
    """Everything but workers, ready. `pace`: what hosts are said to take in the settings."""
    with ExitStack() as stack:
        found = stack.enter_context(_fakes(hosts, checkpoints))
        expected = {"comfy_render_seconds": max(0.01, pace.render), "comfy_swap_seconds": pace.swap}
        more = {f"VESTIGE_{name.upper()}": json.dumps(value) for name, value in (_SETTINGS | expected).items()}
        running = stack.enter_context(server(data, stack.enter_context(upstream()), more | _hosts(found.urls)))
        yield House(running, data, found)


@contextmanager
def _fakes(count: int, checkpoints: int) -> Iterator[Hosts]:
    command = [sys.executable, "-m", "bench.render.hosts", str(count), str(checkpoints)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            lines = iter(process.stdout or ())
            desk, *urls = (next(lines).strip() for _ in range(count + 1))
            yield Hosts(desk, urls)
        finally:
            process.terminate()


def _hosts(urls: Sequence[str]) -> dict[str, str]:
    return {"VESTIGE_COMFY_HOSTS": ", ".join(f"gpu{number}={url}" for number, url in enumerate(urls))}


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VESTIGE_")}
    return kept | {"VESTIGE_LOG_LEVEL": "error", "OPENBLAS_NUM_THREADS": "1"} | dict(more)


def resident(pid: int) -> int:
    """Bytes of memory that a process has in use."""
    told = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)  # noqa: S607
    return int(told.stdout) * 1024


def _picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (320, 320), (90, 120, 40)).save(out, "PNG")
    return out.getvalue()
