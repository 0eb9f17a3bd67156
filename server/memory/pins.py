"""Pins: notes that are in every prompt, written by a person or taken from a message."""

import json
from datetime import datetime

from server.errors import InvalidRequest, NotFound, TooLarge
from server.ids import Scope, new_id, parse_message_id
from server.memory.codec import compact, is_slug
from server.memory.keys import SCOPES, Keys
from server.memory.shared import Shared
from server.memory.turns import said
from server.memory.views import Pin
from server.stores.errors import store_errors

UNKNOWN = "There is no pin with this id."


class Pins:
    """A few notes per conversation, in the state store."""

    def __init__(self, shared: Shared) -> None:
        self._client = shared.state
        self._scripts = shared.scripts
        self._options = shared.options
        self._clock = shared.clock

    async def all(self, scope: Scope) -> list[Pin]:
        """Oldest first."""
        with store_errors("memory"):
            raws = await self._client.hgetall(Keys.of(scope).pins)
        return sorted((_decode(str(id), str(raw)) for id, raw in raws.items()), key=lambda pin: (pin.created, pin.id))

    async def add(self, scope: Scope, text: str, message_id: str | None) -> Pin:
        """Raises `InvalidRequest`, `TooLarge`, or `NotFound` where the conversation has begun anew."""
        pin = Pin(new_id("pin"), self._checked(text), self._clock(), message_id)
        await self._write(scope, pin, new=True)
        return pin

    async def edit(self, scope: Scope, id: str, text: str) -> Pin:
        """Raises `NotFound`, `InvalidRequest` or `TooLarge`."""
        old = next((pin for pin in await self.all(scope) if pin.id == id), None)
        if old is None:
            raise NotFound(UNKNOWN, field="pin_id")
        pin = Pin(id, self._checked(text), old.created, old.message_id)
        await self._write(scope, pin, new=False)
        return pin

    async def remove(self, scope: Scope, id: str) -> None:
        """Raises `NotFound`."""
        with store_errors("memory"):
            if not is_slug(id) or not await self._client.hdel(Keys.of(scope).pins, id):
                raise NotFound(UNKNOWN, field="pin_id")

    async def remove_from(self, scope: Scope, message_ids: frozenset[str]) -> None:
        """Takes out the pins that came from these messages."""
        gone = [pin.id for pin in await self.all(scope) if pin.message_id in message_ids]
        if gone:
            with store_errors("memory"):
                await self._client.hdel(Keys.of(scope).pins, *gone)

    async def _write(self, scope: Scope, pin: Pin, *, new: bool) -> None:
        keys = Keys.of(scope)
        epoch = parse_message_id(pin.message_id)[0] if new and pin.message_id else ""
        done = await self._scripts.run(
            "pin",
            (keys.meta, keys.pins, SCOPES),
            str(scope),
            pin.id,
            encode_pin(pin),
            "1" if new else "",
            self._options.max_pins,
            epoch,
        )
        if done == -1:
            raise InvalidRequest(f"There are {self._options.max_pins} pins already: take one out first.", field="text")
        if done == 0:
            raise NotFound(UNKNOWN, field="pin_id")

    def _checked(self, text: str) -> str:
        text = said(text, "text").strip()
        if len(text) > self._options.pin_characters:
            raise TooLarge(f"A pin holds at most {self._options.pin_characters} characters.", field="text")
        return text


def pin_to_data(pin: Pin) -> dict[str, str]:
    data = {"text": pin.text, "created": pin.created.isoformat()}
    return {**data, "message_id": pin.message_id} if pin.message_id else data


def encode_pin(pin: Pin) -> str:
    return compact(pin_to_data(pin))


def _decode(id: str, raw: str) -> Pin:
    data = json.loads(raw)
    return Pin(id, data["text"], datetime.fromisoformat(data["created"]), data.get("message_id"))
