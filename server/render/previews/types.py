"""A preview: the picture of a character that wears an item, wherever it is on its way."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from server.render.jobs.types import Job, JobError, Waiting

__all__ = ["Estimate", "Person", "Preview", "PreviewState"]

PreviewState = Literal["ready", "waiting", "running", "failed", "none"]
"""`none`: nobody asked for it yet, or it was thrown away."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks. `user` is None for a credential that belongs to nobody; `tier`: whose plan pays; `name`: what the
    character calls them by.
    """

    tenant: str
    user: str | None
    tier: str
    name: str
    admin: bool = False


@dataclass(frozen=True, slots=True)
class Preview:
    """A preview as it is now. Sizes in pixels; None until it is ready.

    `url`: where its picture is served from, None until it is ready; `folder`: where its files lie in the object store,
    '' until then. `job`: what makes it, None where nothing does.
    `made_with`: the name of the preset, or the tuning's values. `owner`: who alone may see it, None where everybody of
    the tenant may.
    """

    key: str
    state: PreviewState
    character: str
    item: str | None
    url: str | None = None
    folder: str = ""
    width: int | None = None
    height: int | None = None
    created: datetime | None = None
    made_with: str | Mapping[str, Any] | None = None
    owner: str | None = None
    job: Job | None = None

    @property
    def error(self) -> JobError | None:
        """Why there is no picture, or why it takes another try."""
        return self.job.error if self.job else None

    @property
    def position(self) -> int | None:
        """How many stand before it in line."""
        return self.job.position if self.job else None

    @property
    def waiting(self) -> Waiting | None:
        """Why it waits."""
        return self.job.waiting if self.job else None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a pre-render comes to: pictures in all, those that are there, those that would be rendered; `seconds` by
    the render times measured so far, None where none was; `cost` in micro-dollars."""

    previews: int
    ready: int
    renders: int
    seconds: float | None
    cost: int
