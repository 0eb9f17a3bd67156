"""The server's HTTP API as the bot uses it, for one person at a time."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

import aiohttp
from yarl import URL

from server.telegram.options import Options

Json = dict[str, Any]

CALL_SECONDS = 30.0
TURN_SECONDS = 900.0
TRIES = 4
PICTURE_BYTES = 20 << 20

AWAY = "The server does not answer at the moment. Please try again in a minute."
NO_KEY = "This bot's key is not valid any more. Whoever runs it has to give it a new one."


class Trouble(Exception):
    """Something that a person is told in `text`; `code` is the server's, or `away`."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(code)
        self.code = code
        self.text = text


class Vestige:
    """Calls in the name of people. Every one raises `Trouble`."""

    def __init__(self, session: aiohttp.ClientSession, *, pause: float = 1.0) -> None:
        self._session = session
        self._pause = pause

    @classmethod
    @asynccontextmanager
    async def open(cls, options: Options, *, pause: float = 1.0) -> AsyncIterator[Self]:
        """`pause`: seconds before a call that did not get through is made again; it doubles."""
        headers = {"Authorization": f"Bearer {options.key}", "Accept": "application/json"}
        timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
        # no trailing part of the address may be lost when paths are joined to it
        async with aiohttp.ClientSession(f"{options.server}/", headers=headers, timeout=timeout) as session:
            yield cls(session, pause=pause)

    async def me(self) -> Json:
        """What the key may do."""
        return await self._call("GET", "v1/me", None)

    async def characters(self, user: str) -> list[Json]:
        return (await self._call("GET", "v1/characters", user))["characters"]

    async def active(self, user: str) -> str | None:
        return (await self._call("GET", "v1/active-character", user))["character_id"]

    async def activate(self, user: str, character: str) -> None:
        await self._call("PUT", "v1/active-character", user, {"character_id": character})

    async def newest(self, user: str, character: str, *, most: int = 1) -> list[Json]:
        """The newest messages, oldest first; the greeting, with the id `greeting`, where nothing was said yet."""
        query = {"limit": str(most)}
        return (await self._call("GET", f"v1/chat/{character}/messages", user, query=query))["messages"]

    async def say(self, user: str, character: str, text: str, *, key: str) -> Json:
        """A turn. With `key` it is one turn however often the call is made."""
        body = {"character_id": character, "message": text}
        return await self._call("POST", "v1/chat", user, body, key=key, seconds=TURN_SECONDS)

    async def reset(self, user: str, character: str) -> None:
        await self._call("POST", f"v1/chat/{character}/reset", user, {})

    async def owned(self, user: str) -> list[Json]:
        """The items that a person owns, newest first."""
        found = await self._call("GET", "v1/inventory", user, query={"limit": "50"})
        return [each["item"] for each in found["owned"]]

    async def picture(self, user: str, character: str, body: Json, *, key: str) -> Json | None:
        """The message that will show the picture asked for, if one will."""
        return (await self._call("POST", f"v1/chat/{character}/pictures", user, body, key=key))["message"]

    async def download(self, user: str, url: str) -> bytes:
        """A picture that the server names, wherever it has it served from."""
        address = URL(url)
        if address.is_absolute():
            raise Trouble("bad_address", "The picture is somewhere that this bot does not look.")
        try:
            async with self._session.get(url.lstrip("/"), params={"user_id": user}) as response:
                if response.status >= 400:
                    raise Trouble("no_picture", "The picture could not be fetched. Ask for it again in a moment.")
                data = await response.content.read(PICTURE_BYTES + 1)
                while len(data) <= PICTURE_BYTES and not response.content.at_eof():
                    data += await response.content.read(PICTURE_BYTES + 1 - len(data))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Trouble("away", AWAY) from error
        if len(data) > PICTURE_BYTES:
            raise Trouble("too_large", "The picture is too large for Telegram.")
        return data

    async def _call(
        self,
        method: str,
        path: str,
        user: str | None,
        body: Json | None = None,
        *,
        query: Mapping[str, str] | None = None,
        key: str | None = None,
        seconds: float = CALL_SECONDS,
    ) -> Any:
        """The answer's JSON. What did not get through is tried again where that is harmless: reading, or with a key."""
        params = {**(query or {}), **({"user_id": user} if user is not None else {})}
        headers = {"Idempotency-Key": key} if key is not None else {}
        tries = TRIES if key is not None or method == "GET" else 1
        for attempt in range(tries):
            if attempt:
                await asyncio.sleep(self._pause * 2 ** (attempt - 1))
            try:
                async with self._session.request(
                    method,
                    path,
                    params=params,
                    json=body,
                    headers=headers,
                    timeout=aiohttp.ClientTimeout(total=seconds),
                ) as response:
                    return await _answer(response)
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                if attempt == tries - 1:
                    raise Trouble("away", AWAY) from error
        raise AssertionError("there is at least one try")


async def _answer(response: aiohttp.ClientResponse) -> Any:
    if response.status < 400:
        return await response.json()
    if response.status == 401:
        raise Trouble("unauthenticated", NO_KEY)
    try:
        error = (await response.json())["error"]
        code, message = str(error["code"]), str(error["message"])
    except (aiohttp.ContentTypeError, ValueError, KeyError, TypeError) as error:
        raise Trouble("away", AWAY) from error
    raise Trouble(code, message)
