"""Taking graphs, watching them, filing what came of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Any

from aiohttp import web

from .errors import GraphRefused, KeyReused, NoSuchResult, PromptIdReused, StillRunning, Unwritable
from .ledger import Ledger
from .queue import Queue, Standing
from .records import Record, Submission, digest, now

__all__ = ["Submissions"]

_LOOK_EVERY = 0.1  # seconds; a history that somebody clears sooner after the end is missed
_FILE_AGAIN_AFTER = 2.0  # seconds, where the disk did not take a result
_CHECK_SECONDS = 60.0

_CANCELLED = (
    "cancelled",
    "It left ComfyUI's queue without a result (somebody took it out, or cleared the history): submit it again under "
    "another prompt id.",
)

_log = logging.getLogger(__name__)


class Submissions:
    """One per ComfyUI. A prompt id is one run; a key completes once."""

    def __init__(self, ledger: Ledger, queue: Queue) -> None:
        self._ledger = ledger
        self._queue = queue
        self._one_at_a_time = asyncio.Lock()
        self._open: dict[str, Record] = {}  # by key: what runs here, and what the disk did not take yet
        self._watcher: asyncio.Task[None] | None = None

    async def submit(self, submission: Submission, request: web.Request) -> tuple[Record, bool]:
        """Runs a graph, unless it was asked for before; also tells whether it is new.

        A key whose run failed can be submitted again under another prompt id; one that ComfyUI lost when it stopped,
        under the same too. `request` is the one that asks: ComfyUI's own handler is given it.

        Raises:
            GraphRefused
            KeyReused
            PromptIdReused
            Unwritable
        """
        graph = digest(submission.graph)  # first: the check writes numbers into it as ComfyUI reads them
        async with self._one_at_a_time:
            while True:
                written = await asyncio.to_thread(self._ledger.read, submission.key)
                known = await self._known(submission, graph, written)
                if known is not None:
                    return known, False
                process = self._ledger.process
                record = Record(submission.key, submission.prompt_id, graph, process, queued_at=now())
                await self._check(submission)
                if await asyncio.to_thread(self._ledger.claim, record, written) is None:
                    break  # else another ComfyUI over the same folder was faster, and its record is known now
            await self._run(record, submission, request)
            return record, True

    async def result(self, key: str, wait: float = 0.0) -> Record:
        """What is known of a key; waits up to `wait` seconds for its end.

        Raises:
            NoSuchResult
        """
        until = time.monotonic() + wait
        while True:
            record = await self._current(key, await asyncio.to_thread(self._ledger.read, key))
            if record is None:
                raise NoSuchResult("Nothing was submitted under this key.")
            left = until - time.monotonic()
            if record.finished or left <= 0:
                return record
            await asyncio.sleep(min(left, _LOOK_EVERY))

    def runs(self, record: Record) -> bool:
        """Whether it is being run this moment, and not waiting for its turn."""
        return not record.finished and record.prompt_id in self._queue.standing().running

    async def delete(self, key: str) -> None:
        """Forgets the result of a key; the pictures stay where ComfyUI saved them.

        Raises:
            NoSuchResult
            StillRunning
            Unwritable
        """
        async with self._one_at_a_time:
            written = await asyncio.to_thread(self._ledger.read, key)
            record = await self._current(key, written)
            if record is None or written is None:
                raise NoSuchResult("Nothing was submitted under this key.")
            if not record.finished or key in self._open:
                raise StillRunning("The graph still runs: interrupt it, or wait for its end.")
            await asyncio.to_thread(self._ledger.delete, written)

    async def settled(self, key: str, prompt_id: str) -> Record | None:
        """What a key has; None where nothing was submitted. It may be another run's than that of the prompt id.

        Raises:
            StillRunning: it is this run's, which has not ended, or its end is not filed yet.
        """
        record = await self._current(key, await asyncio.to_thread(self._ledger.read, key))
        if record is not None and record.prompt_id == prompt_id and (not record.finished or key in self._open):
            raise StillRunning("The graph still runs: interrupt it, or wait for its end.")
        return record

    async def _current(self, key: str, written: Record | None) -> Record | None:
        """What holds of a key of which this is written down. A run whose ComfyUI stopped reads as lost."""
        here = self._open.get(key)
        if here is not None:
            self._keep_watching()
            return here
        if written is None or written.finished or await asyncio.to_thread(self._ledger.lives, written):
            return written
        return written.failed("lost", "ComfyUI stopped before this was done: submit it again.")

    async def _known(self, submission: Submission, graph: str, written: Record | None) -> Record | None:
        """What a submission gets instead of a run of its own."""
        asked_for = await asyncio.to_thread(self._ledger.key_of, submission.prompt_id)
        if asked_for not in (None, submission.key):
            raise PromptIdReused("This prompt id was given for another key: choose a new one.")
        current = await self._current(submission.key, written)
        if current is None:
            return None
        if current.prompt_id == submission.prompt_id:
            if current.digest != graph:
                raise PromptIdReused("This prompt id was given for another graph: choose a new one.")
            return None if current.lost else current
        if current.state == "error":
            if asked_for is not None:
                raise PromptIdReused("This prompt id has had its run: choose a new one.")
            return None
        if current.digest != graph:
            raise KeyReused("This key stands for another graph: derive keys from what is in the graph.")
        return current

    async def _check(self, submission: Submission) -> None:
        try:
            await asyncio.wait_for(self._queue.check(submission), _CHECK_SECONDS)
        except asyncio.TimeoutError:
            raise GraphRefused(f"ComfyUI did not check the graph within {_CHECK_SECONDS:.0f} seconds.") from None

    async def _run(self, record: Record, submission: Submission, request: web.Request) -> None:
        try:
            if not self._is_known_to_comfyui(record.prompt_id):  # somebody may have posted it to /prompt itself
                await self._queue.put(submission, request)
        except BaseException:
            with contextlib.suppress(Unwritable):
                await asyncio.to_thread(self._ledger.delete, record)
            raise
        self._open[record.key] = record
        self._keep_watching()

    def _keep_watching(self) -> None:
        if self._watcher is None or self._watcher.done():
            self._watcher = asyncio.create_task(self._watch())

    def _is_known_to_comfyui(self, prompt_id: str) -> bool:
        standing = self._queue.standing()
        return prompt_id in standing.running | standing.waiting or self._queue.history(prompt_id) is not None

    async def _watch(self) -> None:
        """Files what ends, as long as anything is open. Nobody is told of an end that is not filed, if it can be."""
        while self._open:
            pause = _LOOK_EVERY
            standing = self._queue.standing()
            found = [self._ended(record, standing) for record in self._open.values()]
            for ended in filter(None, found):
                try:
                    await asyncio.to_thread(self._ledger.file, ended)
                except Unwritable as error:
                    _log.warning("A result waits to be filed: %s", error)
                    pause = _FILE_AGAIN_AFTER
                    filed = False
                else:
                    filed = True
                if self._open[ended.key].prompt_id != ended.prompt_id:
                    continue  # it failed, and the key was submitted anew meanwhile
                if filed:
                    del self._open[ended.key]
                else:
                    self._open[ended.key] = ended
            await asyncio.sleep(pause)

    def _ended(self, record: Record, standing: Standing) -> Record | None:
        """How a run ended; None while it has not. The history is asked after the queue: a run is in one of them."""
        if record.finished:
            return record
        if record.prompt_id in standing.running | standing.waiting:
            return None
        history = self._queue.history(record.prompt_id)
        return record.failed(*_CANCELLED) if history is None else _outcome(record, history)


def _outcome(record: Record, history: dict[str, Any]) -> Record:
    """What ComfyUI's history says of a run."""
    status = history.get("status") or {}
    for event, data in reversed(status.get("messages") or []):
        if event == "execution_interrupted":
            return record.failed("interrupted", "Somebody interrupted it: submit it again under another prompt id.")
        if event == "execution_error":
            details = {name: data.get(name) for name in ("node_id", "node_type", "exception_type")}
            message = str(data.get("exception_message") or "").strip()
            return record.failed("execution_error", message or "A node failed without saying why.", **details)
    if status and not status.get("completed"):
        return record.failed("execution_error", "ComfyUI did not complete it and does not say why: see its log.")
    return record.done(history.get("outputs") or {})
