"""What a job is: one render of one key, however many ask for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from server.render.fleet.types import Needs
from server.render.graphs.nodes import Graph

__all__ = ["ENDED", "Job", "JobError", "JobEvent", "JobState", "Line", "Order", "Waiting"]

JobState = Literal["waiting", "running", "done", "failed", "cancelled", "dead"]
"""`failed`: it cannot be rendered as it is (a missing model, a graph the host rejects). `dead`: it was tried as often
as it may be; an admin can look at it and replay it."""
ENDED: frozenset[JobState] = frozenset({"done", "failed", "cancelled", "dead"})
Line = Literal["user", "prerender"]
"""`user`: a person waits. All of them come before all of `prerender`."""
Waiting = Literal["in_line", "no_host", "no_worker", "retry"]
"""Why a job does not run yet: others stand before it; no ComfyUI host answers; no worker runs; it failed and is tried
again in a moment."""


@dataclass(frozen=True, slots=True)
class JobError:
    """Why it ended, or why it is tried again: the code and the sentence of a `VestigeError`."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it is now.

    `user`: who asked first, None for a pre-render. `owner`: who alone may see it, None where everybody of the tenant
    may. `position`: how many stand before it, None once it does not wait. `share`: how far it is, 0 to 1. `waiting`:
    why it waits, None where it does not. `attempts`: how often it was begun at a host.
    """

    id: str
    key: str
    tenant: str
    user: str | None
    owner: str | None
    character: str
    item: str | None
    line: Line
    state: JobState
    created: datetime
    share: float = 0.0
    position: int | None = None
    waiting: Waiting | None = None
    host: str | None = None
    prompt_id: str | None = None
    attempts: int = 0
    error: JobError | None = None
    started: datetime | None = None
    ended: datetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it by itself."""
        return self.state in ENDED

    def visible_to(self, user: str | None, *, admin: bool = False) -> bool:
        """Whether somebody of its tenant may know of it."""
        return admin or self.owner is None or self.owner == user


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Something that happened to a job.

    `job`: it moved in line, began, or is further. `frame`: a live preview, a small JPEG; it is not kept. The others end
    it. `id`: where to resume from; None for what is not kept.
    """

    kind: Literal["job", "frame", "done", "failed", "cancelled"]
    job: Job
    id: str | None = None
    frame: bytes | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be rendered, and for whom; everything a worker needs is in it.

    `graph`: with the catalog's names, for any host. `needs`: what such a host must have. `reference`: the sha256 of the
    item's picture. `made_with`: the preset's name or the tuning. `facts`: provenance for the sidecar, without
    anybody's words. `user` None: a pre-render that nobody waits for. `tier`: whose plan pays.
    """

    key: str
    tenant: str
    user: str | None
    tier: str
    owner: str | None
    character: str
    item: str | None
    graph: Graph
    needs: Needs
    reference: str | None
    width: int
    height: int
    made_with: str | Mapping[str, Any]
    facts: Mapping[str, Any]
