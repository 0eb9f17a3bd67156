"""Forgets renders and references: files, history, filed results, caches.

A render is forgotten in an order that can be begun again: files first, then the history and the filed result that name
them. What is not there counts as forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..features import part_of
from ..references import CacheError, ReferenceCache
from ..submissions import Record, Standing, StillRunning, SubmissionError, Submissions
from .files import inside, of_keys, of_references, shown

__all__ = ["Folders", "Forgetter", "Kept", "Queue", "Render"]


class Queue(Protocol):
    """ComfyUI's, as far as forgetting uses it."""

    def standing(self) -> Standing: ...

    def history(self, prompt_id: str) -> dict[str, Any] | None: ...

    def forget(self, prompt_id: str) -> None: ...

    def free(self) -> None: ...


class Features(Protocol):
    """What an encoder saw in pictures."""

    def forget(self, part: str) -> None:
        """Raises `OSError`."""
        ...


@dataclass(frozen=True)
class Folders:
    """Where servers upload references, where their renders are saved, and ComfyUI's temporary files."""

    uploads: Path
    saved: Path
    temporary: Path


@dataclass(frozen=True)
class Render:
    """A run by its prompt id, and the key that its result is filed and its pictures are named by."""

    prompt_id: str
    key: str


@dataclass(frozen=True)
class Kept:
    """What is still here, by its prompt id or sha256: `still_running`, or why it could not be removed."""

    name: str
    code: str
    message: str


class Forgetter:
    """One per ComfyUI."""

    def __init__(
        self,
        folders: Folders,
        queue: Queue,
        submissions: Submissions,
        references: ReferenceCache,
        features: Features,
        drop_key_values: Callable[[], None],
    ) -> None:
        self._folders = folders
        self._queue = queue
        self._submissions = submissions
        self._references = references
        self._features = features
        self._drop_key_values = drop_key_values

    async def renders(self, renders: Sequence[Render]) -> list[Kept]:
        """Removes what is left of runs that ended; those that are still here."""
        kept: list[Kept] = []
        saved = await asyncio.to_thread(of_keys, self._folders.saved, [render.key for render in renders])
        for render in renders:
            try:
                await self._render(render, saved.get(render.key, []))
            except SubmissionError as error:
                kept.append(Kept(render.prompt_id, error.code, str(error)))
            except OSError as error:
                kept.append(Kept(render.prompt_id, "not_deleted", _why(error)))
        return kept

    async def references(self, references: Sequence[str]) -> list[Kept]:
        """Removes pictures by their sha256 from the uploads and all caches; those that are still here."""
        return await asyncio.to_thread(lambda: list(self._unforgotten(references)))

    def memory(self) -> None:
        """Has everything that nodes gave out dropped from memory, once what runs has ended."""
        self._drop_key_values()
        self._queue.free()

    async def _render(self, render: Render, saved: list[Path]) -> None:
        standing = self._queue.standing()
        if render.prompt_id in standing.running | standing.waiting:
            raise StillRunning("The graph still runs: interrupt it, or wait for its end.")
        record = await self._submissions.settled(render.key, render.prompt_id)
        await asyncio.to_thread(self._remove, render, record, saved)
        self._queue.forget(render.prompt_id)
        if record is not None and record.prompt_id == render.prompt_id:
            await self._submissions.delete(render.key)

    def _remove(self, render: Render, record: Record | None, saved: list[Path]) -> None:
        history = self._queue.history(render.prompt_id) or {}
        made = [*shown(history.get("outputs"))]
        if record is not None and record.prompt_id != render.prompt_id:
            # the key's pictures are another run's, which is forgotten by its own id
            saved, made = [], [one for one in made if not one[2].startswith(f"{render.key}_")]
        elif record is not None:
            made += shown(record.outputs)
        places = [self._place(*one) for one in made]
        for path in [*filter(None, places), *saved]:
            path.unlink(missing_ok=True)

    def _place(self, kind: str, subfolder: str, filename: str) -> Path | None:
        """A picture that a run made; of those that are saved, only servers' own."""
        if kind == "temp":
            return inside(self._folders.temporary, subfolder, filename)
        saved = self._folders.saved
        return inside(saved, filename) if kind == "output" and subfolder == saved.name else None

    def _unforgotten(self, references: Sequence[str]) -> Iterator[Kept]:
        uploads = of_references(self._folders.uploads, references)
        for sha256 in references:
            try:
                for path in uploads.get(sha256, []):
                    path.unlink(missing_ok=True)
                self._references.forget(sha256)
                self._features.forget(part_of(sha256))
            except CacheError as error:
                yield Kept(sha256, error.code, str(error))
            except OSError as error:
                yield Kept(sha256, "not_deleted", _why(error))


def _why(error: OSError) -> str:
    return f"A file cannot be deleted: {error.strerror or type(error).__name__}."
