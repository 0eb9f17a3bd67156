"""What is said of a person who was erased: what went, and what ComfyUI hosts have still to forget."""

from collections.abc import Iterable
from typing import Self

from pydantic import BaseModel, Field

from server.render.forgetting.forgetting import Left

__all__ = ["DeletedCountsOut", "DeletedUserOut", "Erased", "HostLeft"]


class HostLeft(BaseModel):
    """A ComfyUI host that has `things` of theirs (renders, references) still to forget, and `why` in a sentence."""

    name: str
    things: int
    why: str

    @classmethod
    def of(cls, left: Iterable[Left]) -> list[Self]:
        return [cls(name=one.host, things=one.things, why=one.why) for one in left]


class Erased(BaseModel):
    """How much went with the account. `hosts`: those that have not forgotten it yet; they are asked until they have."""

    deleted: dict[str, int]
    hosts: list[HostLeft] = Field(default_factory=list)


class DeletedCountsOut(BaseModel):
    conversations: int
    messages: int
    characters: int = 0
    previews: int = 0


class DeletedUserOut(BaseModel):
    """How much went. `hosts`: ComfyUI hosts that have not forgotten it yet; they are asked until they have."""

    deleted: DeletedCountsOut
    hosts: list[HostLeft] = Field(default_factory=list)
