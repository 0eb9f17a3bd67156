"""The Vestige server as the nodes see it: every call has a time limit, a bounded answer and a typed failure."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from .errors import NotSetUp, Refused, ServerAway
from .views import Character, Memory, State, Worn

__all__ = ["ADDRESS_VARIABLE", "KEY_VARIABLE", "Companion"]

ADDRESS_VARIABLE, KEY_VARIABLE = "VESTIGE_SERVER", "VESTIGE_SERVER_KEY"
_TIMEOUT = httpx.Timeout(20.0, connect=3.0)
_STATE_TIMEOUT = httpx.Timeout(3.0)
_MOST_JSON, _MOST_PICTURE = 4 << 20, 32 << 20

_AWAY = f"The Vestige server does not answer: is it running, and is {ADDRESS_VARIABLE} right?"
_STRANGE = f"What answers at {ADDRESS_VARIABLE} is no Vestige server: is the address right?"
_OLD = "The Vestige server is older than this node pack: update the server."
_KEY = f"The Vestige server does not take this key: it was revoked, or {KEY_VARIABLE} has another one."


class Companion:
    """Asks for one person, whose key it has. Safe to use from several threads.

    Args:
        address: such as `https://chat.example.org`.
        key: with the scope `recall`, and `remember` for notes.
    """

    def __init__(self, address: str, key: str, *, transport: httpx.BaseTransport | None = None) -> None:
        if not address or not key:
            missing = " and ".join(
                name for name, value in ((ADDRESS_VARIABLE, address), (KEY_VARIABLE, key)) if not value
            )
            raise NotSetUp(
                f"Start ComfyUI with {missing} in its environment: where the Vestige server is, and a key made with "
                "`vestige keys create comfy --user ID --scope recall`."
            )
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise NotSetUp(f"{ADDRESS_VARIABLE} is no address such as http://127.0.0.1:8420.")
        if not key.isascii() or not key.isprintable():
            raise NotSetUp(f"{KEY_VARIABLE} holds something that is no key.")
        self._client = httpx.Client(
            base_url=address.rstrip("/"),
            headers={"Authorization": f"Bearer {key}", "Accept": "application/json"},
            timeout=_TIMEOUT,
            follow_redirects=False,
            trust_env=False,
            transport=transport,
        )
        self._states: dict[str, tuple[str, State]] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return "Companion(…)"

    def character(self, character: str) -> Character:
        """Who the character is.

        Raises:
            ServerAway, Refused: as every method here.
        """
        return Character.read(self._json("GET", _path(character)))

    def recall(self, character: str, query: str, tokens: int) -> Memory:
        """What is remembered of `query`, the summary and what was said lately, in so many tokens."""
        found = self._json("GET", _path(character, "memory"), params={"q": query, "tokens": tokens})
        return Memory.read(found, self.character(character))

    def worn(self, character: str) -> Worn | None:
        """What the character wears."""
        return Worn.read(self._json("GET", _path(character, "worn")))

    def worn_picture(self, character: str) -> bytes:
        """The picture of what the character wears, PNG."""
        return self._call("GET", _path(character, "worn", "picture"), most=_MOST_PICTURE)

    def note(self, character: str, *, key: str, item: str | None, preset: str, note: str) -> bool:
        """Notes that a picture was made; whether it was not known yet."""
        body = {"key": key, "item_id": item, "preset": preset, "note": note}
        return self._json("POST", _path(character, "pictures"), json=body).get("noted") is True

    def state(self, character: str) -> State:
        """Hashes that change with memory, clothes and card. Costs little, and next to nothing while all is the same."""
        with self._lock:
            known = self._states.get(character)
        headers = {"If-None-Match": known[0]} if known else {}
        response = self._send("GET", _path(character, "state"), _MOST_JSON, headers=headers, timeout=_STATE_TIMEOUT)
        if known and response.status == 304:
            return known[1]
        found = State.read(_parsed(self._good(response)))
        if response.etag:
            with self._lock:
                self._states[character] = (response.etag, found)
        return found

    def _json(self, method: str, path: str, **arguments: Any) -> Mapping[str, Any]:
        return _parsed(self._call(method, path, most=_MOST_JSON, **arguments))

    def _call(self, method: str, path: str, *, most: int, **arguments: Any) -> bytes:
        return self._good(self._send(method, path, most, **arguments))

    def _send(self, method: str, path: str, most: int, **arguments: Any) -> _Answer:
        try:
            with self._client.stream(method, path, **arguments) as response:
                parts, size = [], 0
                for part in response.iter_bytes():
                    parts.append(part)
                    size += len(part)
                    if size > most:
                        raise ServerAway(f"The Vestige server sends more than {most >> 20} MB for one answer.")
                return _Answer(response.status_code, b"".join(parts), response.headers.get("ETag", ""))
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError):
            raise ServerAway(_AWAY) from None  # what httpx says holds the address

    def _good(self, answer: _Answer) -> bytes:
        if 200 <= answer.status < 300:
            return answer.body
        code, message = _error(answer.body)
        if answer.status == 401:
            raise Refused(_KEY)
        if answer.status == 403 and code == "forbidden":
            raise Refused(f"The Vestige server refuses: {message}")
        if answer.status == 404 and code == "not_found" and message:
            # a server that does not know the path at all names no character
            raise Refused(f"The Vestige server says: {message}" if "character" in message else _OLD)
        if code is None:
            raise ServerAway(_STRANGE if answer.status < 500 else _AWAY)
        if answer.status >= 500 or answer.status == 429:
            raise ServerAway(f"The Vestige server says: {message}")
        raise Refused(f"The Vestige server says: {message}")


class _Answer:
    """An answer that was read to its end."""

    __slots__ = ("body", "etag", "status")

    def __init__(self, status: int, body: bytes, etag: str) -> None:
        self.status, self.body, self.etag = status, body, etag


def _path(character: str, *parts: str) -> str:
    name = character.strip()
    if not name:
        raise Refused("No character is named: write their id, as the page's address or `GET /v1/companion` shows it.")
    return "/".join(("/v1/companion", quote(name, safe=""), *parts))


def _parsed(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ServerAway(_STRANGE)
    return found


def _error(body: bytes) -> tuple[str | None, str]:
    """The code and sentence of an error; no code where it is not in the shape that the server gives errors."""
    try:
        error = json.loads(body)["error"]
        return str(error["code"]), str(error["message"])
    except (ValueError, KeyError, TypeError):
        return None, ""
