"""A job in a worker's hands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self, cast

from server.errors import NotFound
from server.render.jobs.codec import order_of
from server.render.jobs.types import Line, Order

__all__ = ["Held"]


@dataclass(slots=True)
class Held:
    """A leased job, and how far its render is.

    `fence`: the number of this lease; whoever has a later one has the job. `ordered`: what is to be rendered, None for
    a job that was taken away. `host`, `prompt_id`: where it was or will be submitted, and as what. `stale`: `host` and
    `prompt_id` that another host may still have. `unwanted`: nobody waits for it any more. `share`: 0 to 1. `begun`:
    the host began to run it. `over`: its end is written.
    """

    id: str
    key: str
    fence: str
    line: Line
    ordered: Order | None
    host: str
    prompt_id: str
    attempts: int
    losses: int
    stale: tuple[tuple[str, str], ...] = ()
    unwanted: bool = False
    share: float = field(default=0.0)
    begun: bool = field(default=False)
    over: bool = field(default=False)

    @property
    def order(self) -> Order:
        """What is to be rendered. Raises `NotFound` for a job that was taken away: it is only ended."""
        if self.ordered is None:
            raise NotFound("The job was taken away.")
        return self.ordered

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> Self:
        return cls(
            id=fields["id"],
            key=fields["key"],
            fence=fields["fence"],
            line=cast(Line, fields["line"]),
            ordered=order_of(fields) if "order" in fields else None,
            host=fields.get("host", ""),
            prompt_id=fields.get("prompt_id", ""),
            attempts=int(fields["attempts"]),
            losses=int(fields["losses"]),
            stale=tuple(
                (host, prompt) for host, _, prompt in (one.partition("/") for one in fields.get("stale", "").split())
            ),
            unwanted="cancelling" in fields,
        )
