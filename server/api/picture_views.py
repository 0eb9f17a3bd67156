"""A picture in a message, as it goes over the wire."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel

from server.memory.messages import Picture
from server.render.previews.types import Preview

Pictures = Mapping[str, Preview]
"""How previews stand, by key."""


class PictureErrorOut(BaseModel):
    """Why there is no picture: a code for a program, a sentence for a person."""

    code: str
    message: str


class PictureOut(BaseModel):
    """A picture in a message, as it stands now.

    `state` `none`: it was thrown away, and can be made again. `url` once it is `ready`, with its size in pixels.
    `share`: how far it is, 0 to 1; `position`: how many stand before it in line; `waiting`: why it waits. `job_id` is
    what makes it, to be followed at `/v1/jobs/{job_id}/events`. `item_id`: what is worn on it.
    """

    key: str
    state: Literal["ready", "waiting", "running", "failed", "none"]
    url: str | None = None
    width: int | None = None
    height: int | None = None
    item_id: str | None = None
    scene: str | None = None
    job_id: str | None = None
    share: float = 0.0
    position: int | None = None
    waiting: str | None = None
    error: PictureErrorOut | None = None


def picture_out(picture: Picture | None, pictures: Pictures) -> PictureOut | None:
    """None where there is no picture."""
    if picture is None:
        return None
    preview = pictures.get(picture.key)
    if preview is None:
        return PictureOut(key=picture.key, state="none", item_id=picture.item, scene=picture.scene)
    job, error = preview.job, preview.error
    return PictureOut(
        key=picture.key,
        state=preview.state,
        url=preview.url,
        width=preview.width,
        height=preview.height,
        item_id=picture.item,
        scene=picture.scene,
        job_id=job.id if job else None,
        share=job.share if job else 0.0,
        position=preview.position,
        waiting=preview.waiting,
        error=PictureErrorOut(code=error.code, message=error.message) if error else None,
    )
