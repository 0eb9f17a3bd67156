"""Which job is next, and on which host."""

import asyncio
import json
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import structlog

from server.render.fleet.fleet import Fleet
from server.render.fleet.types import Claim, Needs
from server.render.jobs.codec import error_json, pairs
from server.render.jobs.scripts import Scripts
from server.render.worker.held import Held

__all__ = ["LEASE_MS", "Taken", "Taker"]

LEASE_MS = 10_000
"""A worker that was not heard of for so long has lost its jobs to the others."""
HEADS = 64
"""How many of each line a host is chosen for, of those that some host has all for."""
PAGES = 16
"""So often as many are looked at for them; what lies behind is looked at the next time."""
RACES = 8
_FIELDS = 6
_UNREADABLE = "The render was asked for by another version of this server: ask for it again."

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Taken:
    """A job and the place on a host that it has; no place is needed for one that nobody wants any more."""

    held: Held
    claim: Claim | None


@dataclass(frozen=True, slots=True)
class _Head:
    """`needs` None: it was written by another version of this program, and nobody here can read it."""

    id: str
    needs: Needs | None
    host: str
    unwanted: bool


class Taker:
    """Takes jobs for one worker process, one at a time."""

    def __init__(self, scripts: Scripts, fleet: Fleet, worker: str, *, lease_ms: int = LEASE_MS) -> None:
        self._scripts = scripts
        self._fleet = fleet
        self._worker = worker
        self._lease_ms = lease_ms
        self._one = asyncio.Lock()
        self._further = HEADS  # where in the line to look on after its first

    async def take(self) -> Taken | None:
        """The next job that a host can begin; None where there is none now.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        async with self._one:
            for _ in range(RACES):
                picked = await self._pick()
                if picked is None:
                    return None
                head, claim = picked
                held = await self._lease(head, claim)
                if held is not None:
                    return Taken(held, claim)
                if claim is not None:  # another worker was faster
                    await self._fleet.release(claim)
            return None

    async def _heads(self, skip: int) -> list[_Head]:
        flat: Sequence[str] = await self._scripts.run("heads", HEADS, skip)
        return [_head(flat[at : at + _FIELDS]) for at in range(0, len(flat), _FIELDS)]

    async def _pick(self) -> tuple[_Head, Claim | None] | None:
        """One that nobody wants is taken off its host first; one that a host has already goes back to it; the others
        are for the fleet to choose from, without those that no host has all for: they hide nothing behind them."""
        free: list[tuple[_Head, Needs]] = []
        skip = 0
        for _ in range(PAGES):
            page: list[tuple[_Head, Needs]] = []
            for head in await self._heads(skip):
                if head.unwanted or head.needs is None:
                    return head, None
                if head.host and (claim := await self._fleet.rejoin(head.host, head.needs)) is not None:
                    return head, claim
                page.append((head, head.needs))
            longer = [urgent for urgent in (True, False) if _count(page, urgent) == HEADS]
            stuck = await self._fleet.stuck([needs for _, needs in page]) if longer else [False] * len(page)
            free += [one for one, no_host in zip(page, stuck, strict=True) if not no_host]
            if all(_count(free, urgent) >= HEADS for urgent in longer):
                self._further = HEADS
                break
            skip = skip + HEADS if skip else self._further
        else:
            self._further = skip
        chosen = await self._fleet.choose([needs for _, needs in free]) if free else None
        return None if chosen is None else (free[chosen[0]][0], chosen[1])

    async def _lease(self, head: _Head, claim: Claim | None) -> Held | None:
        fields = await self._scripts.run(
            "lease",
            head.id,
            self._worker,
            self._lease_ms,
            claim.host if claim else "",
            json.dumps(claim.to_json()) if claim else "",
            str(uuid.uuid4()),
        )
        if not fields:
            return None
        held = pairs(fields)
        if head.needs is not None:
            with suppress(ValueError):
                return Held.of(held)
        _log.error("job_not_readable", job=head.id)
        await self._scripts.run("fail", head.id, held["fence"], "failed", error_json("internal", _UNREADABLE))
        return None


def _count(heads: Sequence[tuple[_Head, Needs]], urgent: bool) -> int:
    return sum(needs.urgent is urgent for _, needs in heads)


def _head(values: Sequence[str]) -> _Head:
    id, line, written, created, host, unwanted = values
    needs = None
    with suppress(ValueError):
        needs = replace(Needs.from_json(json.loads(written)), urgent=line == "user", since=int(created) / 1000)
    return _Head(id, needs, host, unwanted == "1")
