"""What stands between a client and a model, each in processes of its own: nothing, our server, LiteLLM's proxy."""

import json
import os
import secrets
import signal
import socket
import subprocess
import time
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from bench.closed_loop import Target, post
from bench.turn import server
from server.memory.embedding import Embedder
from server.policy.classifier import Intent, Reading
from server.policy.model import ContentPolicy
from server.policy.reading import example

SYSTEM = "You are Mira, who keeps a lighthouse. Answer in two sentences."
MESSAGE = "I walked home along the harbour, and lamp {number} came on as I passed."
REQUESTS = 10_000
"""Different ones: more than the embedder remembers, so that the content gate reads each message anew."""
_START_SECONDS = 180.0

_ROUTING = """
default_mode = "everyday"
[providers.near]
base_url = "{base_url}"
[providers.far]
base_url = "{base_url}"
[models.first]
id = "free"
provider = "near"
max_price = {{ prompt = 0.5, completion = 1.0 }}
[models.second]
id = "free-too"
provider = "far"
max_price = {{ prompt = 0.5, completion = 1.0 }}
[modes.everyday]
level = "general"
[tiers.free]
everyday = ["first", "second"]
"""
"""A chain of two with prices, so that every attempt asks the breaker and puts money aside."""

_UNGATED = """
levels = ["general"]
classifier = "bench.gateways:Unread"
[plans]
free = "general"
"""


class Unread:
    """A classifier that reads nothing: the content gate, switched off."""

    def __init__(self, policy: ContentPolicy, _embedder: Embedder) -> None:
        self._reading = Reading(policy.levels[0])

    async def prepare(self) -> None:
        pass

    async def warm(self, text: str) -> None:
        pass

    async def read(self, _intent: Intent) -> Reading:
        return self._reading


def direct(base_url: str) -> tuple[Target, Target]:
    """The model itself, asked plainly and streamed; as all that follow."""
    port = int(base_url.rpartition(":")[2].partition("/")[0])
    return _chat(port, {}, stream=False), _chat(port, {}, stream=True)


@contextmanager
def ours(data: Path, base_url: str, *, users: int, gated: bool) -> Iterator[tuple[Target, Target]]:
    """`POST /v1/complete` of a whole server, with one API key. `gated`: by the content policy that ships, else not."""
    routing, policy = data.with_suffix(".routing.toml"), data.with_suffix(".policy.toml")
    routing.write_text(_ROUTING.format(base_url=base_url), encoding="utf-8")
    policy.write_text(example() if gated else _UNGATED, encoding="utf-8")
    plan = {"free": {"turns_per_minute": 100_000, "daily_budget": 10_000}}
    env = {"VESTIGE_ROUTING": str(routing), "VESTIGE_POLICY": str(policy), "VESTIGE_PLANS": json.dumps(plan)}
    env |= {"VESTIGE_DAILY_BUDGET": "100000", "VESTIGE_KEY_REQUESTS_PER_MINUTE": "1000000"}
    with server(data, base_url, env) as running:
        port = int(running.url.rpartition(":")[2])
        made = httpx.post(
            f"{running.url}/v1/admin/keys",
            json={"name": "bench", "scopes": ["chat"]},
            headers={"Authorization": f"Bearer {running.token}"},
        )
        key = {"Authorization": f"Bearer {made.raise_for_status().json()['secret']}"}
        bodies = [{"messages": _messages(number), "user_id": f"crowd-{number % users}"} for number in range(REQUESTS)]
        yield (
            Target(port, [post(port, "/v1/complete", body, key) for body in bodies]),
            Target(port, [post(port, "/v1/complete", body, {**key, "Accept": "text/event-stream"}) for body in bodies]),
        )


@contextmanager
def litellm(folder: Path, base_url: str, venv_folder: Path) -> Iterator[tuple[Target, Target]]:
    """LiteLLM's proxy as it is run in production, with its one key and no database; asked plainly and streamed."""
    program = _installed(venv_folder)
    parameters = {"model": "openai/free", "api_base": base_url, "api_key": "none"}
    config = folder / "litellm.json"  # it reads YAML, which JSON is
    config.write_text(json.dumps({"model_list": [{"model_name": "free", "litellm_params": parameters}]}))
    port = _free_port()
    key = f"sk-{secrets.token_hex(32)}"
    environment = {"LITELLM_MASTER_KEY": key, "LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR"}
    environment |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}  # else its start asks the network for prices
    headers = {"Authorization": f"Bearer {key}"}
    command = [str(program), "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    with subprocess.Popen(
        command,
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            _wait_for(f"http://127.0.0.1:{port}/health/liveliness", process)
            yield _chat(port, headers, stream=False), _chat(port, headers, stream=True)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)


def litellm_version(venv_folder: Path) -> str:
    """What is installed there."""
    code = "import importlib.metadata as m; print(m.version('litellm'))"
    return subprocess.run([_python(venv_folder), "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def _installed(folder: Path) -> Path:
    """LiteLLM's program in a virtual environment of its own, made where there is none."""
    program = folder / "bin" / "litellm"
    if not program.exists():
        print(f"installing LiteLLM into {folder} …", flush=True)
        venv.create(folder, with_pip=True)
        subprocess.run([_python(folder), "-m", "pip", "install", "--quiet", "litellm[proxy]"], check=True)
    return program


def _python(folder: Path) -> str:
    return str(folder / "bin" / "python")


def _messages(number: int) -> list[dict[str, str]]:
    said = {"role": "user", "content": MESSAGE.format(number=number)}
    return [{"role": "system", "content": SYSTEM}, said]


def _chat(port: int, headers: Mapping[str, str], *, stream: bool) -> Target:
    bodies = (
        {"model": "free", "messages": _messages(number), "max_tokens": 800, "stream": stream}
        for number in range(REQUESTS)
    )
    return Target(port, [post(port, "/v1/chat/completions", body, headers) for body in bodies])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            httpx.get(url, timeout=2.0).raise_for_status()
            return
        except httpx.HTTPError:
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit("LiteLLM's proxy did not start") from None
        time.sleep(0.25)
