"""Where something stands in a list: by time, then by id. What stood there may go, the place stays good."""

import re
from datetime import datetime

from server.errors import InvalidRequest

_PLACE = re.compile(r"[0-9]{13}\.[a-z0-9_-]{1,64}")


def place(at: datetime, id: str) -> str:
    """Text that sorts by `at`, in milliseconds, and then by `id`."""
    return f"{int(at.timestamp() * 1000):013d}.{id}"


def id_at(place: str) -> str:
    """The id in a place."""
    return place.partition(".")[2]


def check_place(after: str | None) -> str | None:
    """`after`, if it can be a place, or is none.

    Raises:
        InvalidRequest: anything else.
    """
    if after is not None and not _PLACE.fullmatch(after):
        raise InvalidRequest("'after' is not where a page of this list begins.", field="after")
    return after
