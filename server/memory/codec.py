"""Messages as JSON and back. The same form is stored in Redis, in Chroma and in an export."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from server.errors import InvalidId, InvalidRequest
from server.ids import check_slug, message_id
from server.memory.messages import Alternative, Message, Notice, Picture, Role, Status

_COUNTS = ("prompt_tokens", "completion_tokens", "first_token_ms", "total_ms")


def compact(value: object) -> str:
    """JSON without spaces, in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def utc(moment: datetime) -> datetime:
    """The moment in UTC.

    Raises:
        ValueError: it has no time zone, so no one can say when it was.
    """
    if moment.tzinfo is None:
        raise ValueError("a time without a zone cannot be stored")
    return moment.astimezone(UTC)


def storable(text: str, what: str) -> str:
    """`text` if UTF-8 can carry it.

    Raises:
        InvalidRequest: it holds half of a surrogate pair, which is no character.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(f"The {what} holds a broken character (half of a surrogate pair).", field=what) from None
    return text


def mended(text: str) -> str:
    """`text` with broken characters replaced: a model's reply is kept rather than refused."""
    return text.encode("utf-8", "replace").decode()


def is_slug(id: str) -> bool:
    """Whether `id` may be an id at all, so that it can be looked up."""
    try:
        check_slug(id, "id")
    except InvalidId:
        return False
    return True


def alternative_to_data(alternative: Alternative) -> dict[str, Any]:
    data: dict[str, Any] = {"text": alternative.text, "created": alternative.created.isoformat()}
    if alternative.status is not Status.COMPLETE:
        data["status"] = alternative.status.value
    if alternative.model is not None:
        data["model"] = alternative.model
    for name in _COUNTS:
        if (count := getattr(alternative, name)) is not None:
            data[name] = count
    if alternative.error is not None:
        data["error"] = alternative.error
    if (notice := alternative.notice) is not None:
        data["notice"] = {name: value for name, value in asdict(notice).items() if value is not None}
    if (picture := alternative.picture) is not None:
        data["picture"] = {name: value for name, value in asdict(picture).items() if value}
    return data


def alternative_from_data(data: dict[str, Any]) -> Alternative:
    return Alternative(
        text=data["text"],
        created=datetime.fromisoformat(data["created"]),
        status=Status(data["status"]) if "status" in data else Status.COMPLETE,
        model=data.get("model"),
        prompt_tokens=data.get("prompt_tokens"),
        completion_tokens=data.get("completion_tokens"),
        first_token_ms=data.get("first_token_ms"),
        total_ms=data.get("total_ms"),
        error=data.get("error"),
        notice=Notice(**data["notice"]) if "notice" in data else None,
        picture=Picture(**data["picture"]) if "picture" in data else None,
    )


def message_to_data(message: Message) -> dict[str, Any]:
    """The message without its id and seq, which its place gives."""
    data: dict[str, Any] = {
        "role": message.role.value,
        "created": message.created.isoformat(),
        "alternatives": [alternative_to_data(alternative) for alternative in message.alternatives],
    }
    if message.chosen:
        data["chosen"] = message.chosen
    if message.edited is not None:
        data["edited"] = message.edited.isoformat()
    if message.extra:
        data["extra"] = message.extra
    return data


def message_from_data(data: dict[str, Any], epoch: int, seq: int) -> Message:
    return Message(
        id=message_id(epoch, seq),
        seq=seq,
        role=Role(data["role"]),
        created=datetime.fromisoformat(data["created"]),
        alternatives=tuple(alternative_from_data(item) for item in data["alternatives"]),
        chosen=data.get("chosen", 0),
        edited=datetime.fromisoformat(data["edited"]) if "edited" in data else None,
        extra=data.get("extra", {}),
    )


def encode_message(message: Message) -> str:
    return compact(message_to_data(message))


def decode_message(raw: str, epoch: int, seq: int) -> Message:
    return message_from_data(json.loads(raw), epoch, seq)


def encode_messages(messages: Sequence[Message]) -> str:
    """Messages with their places, as a window and the hot buffer keep them."""
    return compact([[message.seq, message_to_data(message)] for message in messages])


def decode_messages(raw: str, epoch: int) -> tuple[Message, ...]:
    return tuple(message_from_data(data, epoch, seq) for seq, data in json.loads(raw))
