"""Jobs and orders as Redis has them."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from pydantic import TypeAdapter

from server.render.fleet.types import Needs
from server.render.jobs.types import Job, JobError, JobState, Line, Order, Waiting

__all__ = ["error_json", "fields_of", "job_of", "needs_json", "order_of", "pairs", "seen"]

_ORDER = TypeAdapter(Order)


def fields_of(order: Order, price: int) -> list[str]:
    """An order as fields of a new job's hash: name, value, …"""
    fields = {
        "owner": order.owner or "",
        "character": order.character,
        "item": order.item or "",
        "reference": order.reference or "",
        "needs": needs_json(order.needs),
        "order": _ORDER.dump_json(order).decode(),
        "price": str(price),
    }
    return [part for pair in fields.items() for part in pair]


def order_of(fields: Mapping[str, str]) -> Order:
    """The order in a job's hash. Raises `KeyError` where it is not kept any more."""
    return _ORDER.validate_json(fields["order"])


def needs_json(needs: Needs) -> str:
    return json.dumps(needs.to_json(), separators=(",", ":"))


def pairs(flat: Sequence[str]) -> dict[str, str]:
    """A hash as a script returns it."""
    values = iter(flat)
    return dict(zip(values, values, strict=True))


def seen(answer: Sequence[Any]) -> list[Job | None]:
    """What `look` found."""
    *found, obstacle = answer
    return [None if one is None else _seen(one, str(obstacle)) for one in found]


def job_of(fields: Mapping[str, str], *, position: int | None = None, waiting: Waiting | None = None) -> Job:
    """A job by its hash."""
    error = json.loads(fields["error"]) if fields.get("error") else None
    return Job(
        id=fields["id"],
        key=fields["key"],
        tenant=fields["tenant"],
        user=fields["user"] or None,
        owner=fields.get("owner") or None,
        character=fields["character"],
        item=fields["item"] or None,
        line=cast(Line, fields["line"]),
        state=cast(JobState, fields["state"]),
        created=_time(fields["created"]),
        share=float(fields.get("share", "0")),
        position=position,
        waiting=waiting,
        host=fields.get("host"),
        prompt_id=fields.get("prompt_id"),
        attempts=int(fields.get("attempts", "0")),
        error=None if error is None else JobError(**error),
        started=_time(fields["started"]) if "started" in fields else None,
        ended=_time(fields["ended"]) if "ended" in fields else None,
    )


def error_json(code: str, message: str) -> str:
    return json.dumps({"code": code, "message": message}, ensure_ascii=False)


def _seen(found: Sequence[str], obstacle: str) -> Job:
    place, later, *flat = found
    fields = pairs(flat)
    if fields["state"] != "waiting":
        return job_of(fields)
    waiting = "retry" if later == "1" else obstacle or "in_line"
    return job_of(fields, position=int(place), waiting=cast(Waiting, waiting))


def _time(milliseconds: str) -> datetime:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
