"""What previews and render jobs look like on the wire."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from server.api.schemas import Body, Query
from server.catalog.fields import Category
from server.render.jobs.types import Job, JobState, Line, Waiting
from server.render.previews.subject import MAX_SCENE
from server.render.previews.types import Estimate, Preview, PreviewState

Slug = Annotated[str, Field(min_length=1, max_length=64)]


class JobErrorOut(BaseModel):
    """Why it failed, or is tried again: a code for programs, a sentence for people."""

    code: str
    message: str


class JobOut(BaseModel):
    """A render. `position`: how many stand before it, null once it does not wait. `waiting`: why it does not run yet.

    `share`: how far it is, 0 to 1. `dead`: it failed as often as it may; an admin can replay it. `host`, `prompt_id`,
    `user_id` and `attempts` are for admins.
    """

    id: str
    key: str
    state: JobState
    line: Line
    position: int | None
    waiting: Waiting | None
    share: float
    character_id: str
    item_id: str | None
    error: JobErrorOut | None
    created: datetime
    started: datetime | None
    ended: datetime | None
    host: str | None = None
    prompt_id: str | None = None
    user_id: str | None = None
    attempts: int | None = None

    @classmethod
    def of(cls, job: Job, *, admin: bool = False) -> "JobOut":
        error = None if job.error is None else JobErrorOut(code=job.error.code, message=job.error.message)
        return cls(
            id=job.id,
            key=job.key,
            state=job.state,
            line=job.line,
            position=job.position,
            waiting=job.waiting,
            share=job.share,
            character_id=job.character,
            item_id=job.item,
            error=error,
            created=job.created,
            started=job.started,
            ended=job.ended,
            host=job.host if admin else None,
            prompt_id=job.prompt_id if admin else None,
            user_id=job.user if admin else None,
            attempts=job.attempts if admin else None,
        )


class PreviewOut(BaseModel):
    """A preview. `url`: its picture, once it is ready. `made_with`: the preset's name or the tuning, for admins."""

    key: str
    state: PreviewState
    character_id: str
    item_id: str | None
    url: str | None
    width: int | None
    height: int | None
    created: datetime | None
    private: bool
    job: JobOut | None
    made_with: str | Mapping[str, Any] | None = None

    @classmethod
    def of(cls, preview: Preview, *, admin: bool = False) -> "PreviewOut":
        return cls(
            key=preview.key,
            state=preview.state,
            character_id=preview.character,
            item_id=preview.item,
            url=preview.url,
            width=preview.width,
            height=preview.height,
            created=preview.created,
            private=preview.owner is not None,
            job=None if preview.job is None else JobOut.of(preview.job, admin=admin),
            made_with=preview.made_with if admin else None,
        )


class PreviewIn(Body):
    """Which picture. Without `item_id` the character alone. `scene`: a person's own words for what is to be seen; such
    a picture is theirs alone. `variant`: another picture of the same.
    """

    character_id: Slug
    item_id: Slug | None = None
    scene: str | None = Field(None, min_length=1, max_length=MAX_SCENE)
    variant: int = Field(0, ge=0, le=1_000)


class PreviewsQuery(Query):
    character: Slug = Field(description="The character that wears them.")
    category: Category | None = Field(None, description="Items of this category alone.")
    after: str | None = Field(None, max_length=100, description="Where the page before ended: its `next`.")
    limit: int = Field(200, ge=1, le=200)


class PreviewsOut(BaseModel):
    """How a character's pictures stand, one for each item that can be seen. `next`: where the next page begins."""

    previews: list[PreviewOut]
    next: str | None


class StartFrameIn(Body):
    """The size an image-to-video service wants: pixels from 256 to 2,048, multiples of 8."""

    width: int
    height: int


class StartFrameOut(BaseModel):
    """A start frame. `record`: how it was made of which picture."""

    key: str
    url: str
    width: int
    height: int
    record: Mapping[str, Any]


class RecordOut(BaseModel):
    """Everything about a picture: what it was made of, with which files by their hashes, where and when. `host` and
    `prompt_id` are null where a picture of the very same content was there already and nothing was rendered.
    """

    model_config = ConfigDict(extra="allow")

    version: int
    preview: Mapping[str, Any]
    provenance: Mapping[str, Any]
    host: str | None
    prompt_id: str | None
    rendered: datetime
    workflow: Mapping[str, Any]


class JobEventOut(BaseModel):
    """`job`: it moved in line, began, or is further. The others: it ended, and how its preview is."""

    job: JobOut
    preview: PreviewOut | None = None


class FrameOut(BaseModel):
    """A live preview: a small JPEG in base64."""

    image: str


class JobsQuery(Query):
    state: JobState | None = Field(None, description="Jobs in this state alone.")
    limit: int = Field(100, ge=1, le=500)


class JobsOut(BaseModel):
    """Jobs, the newest first. `counts` by state, of all tenants and so for this server's own admins alone; waiting ones
    by line as `waiting.user` and `waiting.prerender`.
    """

    jobs: list[JobOut]
    counts: Mapping[str, int]


class PrerenderIn(BaseModel):
    """A character, an item, or both: every picture of the one with the others, or the one of both."""

    model_config = ConfigDict(extra="forbid")

    character_id: Slug | None = None
    item_id: Slug | None = None


class PrerenderQuery(Query):
    estimate: bool = Field(False, description="Only say what it would come to.")


class EstimateOut(BaseModel):
    """`seconds` by the render times measured so far, null where there are none; `cost` in micro-dollars."""

    previews: int
    ready: int
    renders: int
    seconds: float | None
    cost: int

    @classmethod
    def of(cls, estimate: Estimate) -> "EstimateOut":
        return cls(
            previews=estimate.previews,
            ready=estimate.ready,
            renders=estimate.renders,
            seconds=estimate.seconds,
            cost=estimate.cost,
        )


class PlanOut(BaseModel):
    """Pictures that are made ahead. `asked` of `previews` were looked at so far; `previews` is null for a plan that the
    server made by itself. `stopped`: why it goes no further.
    """

    id: str
    character_id: str | None
    item_id: str | None
    previews: int | None
    asked: int
    state: Literal["running", "done", "stopped"]
    stopped: str | None
    created: datetime


class PrerenderOut(BaseModel):
    """The estimate, and the plan unless only an estimate was asked for."""

    estimate: EstimateOut
    plan: PlanOut | None


class PlansOut(BaseModel):
    plans: list[PlanOut]


class CollectQuery(Query):
    dry_run: bool = Field(True, description="Only say what would go.")


class CollectedOut(BaseModel):
    """Previews looked at, and those that nothing points to: deleted, unless it was a dry run."""

    looked_at: int
    unused: int
    bytes: int
    deleted: bool
