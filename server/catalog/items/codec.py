"""Items and grants as they lie in Redis: JSON, the id beside it as the field's name."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from server.catalog.items.model import Grant, Item


def item_data(item: Item) -> dict[str, Any]:
    """An item as JSON, without its id."""
    return {
        "title": item.title,
        "category": item.category,
        "visual": item.visual,
        "prompt_hint": item.prompt_hint,
        "reference": item.reference,
        "price": item.price,
        "owner": item.owner,
        "public": item.public,
        "created": _time(item.created),
        "modified": _time(item.modified),
    }


def encode_item(item: Item) -> str:
    return _compact(item_data(item))


def decode_item(id: str, raw: str) -> Item:
    data = json.loads(raw)
    times = {name: datetime.fromisoformat(data[name]) for name in ("created", "modified")}
    return Item(id=id, etag=etag(raw), **{**data, **times})


def grant_data(grant: Grant) -> dict[str, Any]:
    """A grant as JSON."""
    return {
        "id": grant.id,
        "tenant": grant.tenant,
        "user": grant.user,
        "item": grant.item,
        "how": grant.how,
        "giver": grant.giver,
        "at": _time(grant.at),
    }


def encode_grant(grant: Grant) -> str:
    return _compact(grant_data(grant))


def decode_grant(raw: str) -> Grant:
    data = json.loads(raw)
    # a giver who was erased is Lua's null, or no field at all
    return Grant(**{"giver": None, **data, "at": datetime.fromisoformat(data["at"])})


def etag(raw: str) -> str:
    """Of a record as it is stored."""
    return hashlib.sha256(raw.encode()).hexdigest()[:16]


def _time(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")


def _compact(data: Mapping[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
