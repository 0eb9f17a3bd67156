"""Pictures: asked for with a button or a command, followed while they are made, and shown."""

import asyncio
import io
import time

from aiogram.types import Message
from PIL import Image

from server.telegram.sending import Sender
from server.telegram.talking import Asked, Talk, styled
from server.telegram.vestige import Json, Trouble, Vestige

LOOK_SECONDS = 2.0
FOLLOW_SECONDS = 1_800.0
LOOKED_AT = 30
"""Newest messages among which the one that shows the picture is looked for."""
LATER = "The picture is still being made. It will be in the conversation on the page when it is done."
GONE = "The picture was taken back."


class Pictures:
    """Has pictures made and shows them. `look_seconds`: how often it is looked how far one is."""

    def __init__(self, vestige: Vestige, sender: Sender, talk: Talk, *, look_seconds: float = LOOK_SECONDS) -> None:
        self._vestige = vestige
        self._sender = sender
        self._talk = talk
        self._look_seconds = look_seconds

    async def ask(self, asked: Asked, body: Json) -> None:
        """A picture of the active character. `body`: as `POST /v1/chat/{character_id}/pictures` takes it.

        Raises:
            Trouble: there will be none.
        """
        character = await self._talk.partner(asked.user)
        async with self._sender.doing(asked.chat, "upload_photo"):
            message = await self._vestige.picture(asked.user, character, body, key=asked.key)
            if message is None:
                return
            if message.get("picture") is None:  # the content policy's words stand in its place
                await self._sender.say(asked.chat, styled(message))
                return
            await self._follow(asked, character, message)

    async def _follow(self, asked: Asked, character: str, message: Json) -> None:
        board = _Board(self._sender, asked.chat)
        until = time.monotonic() + FOLLOW_SECONDS
        while message["picture"]["state"] in ("waiting", "running"):
            await board.tell(progress(message["picture"]))
            if time.monotonic() > until:
                await board.end(LATER)
                return
            await asyncio.sleep(self._look_seconds)
            newest = await self._vestige.newest(asked.user, character, most=LOOKED_AT)
            found = next((one for one in newest if one["id"] == message["id"]), None)
            if found is None or found.get("picture") is None:
                await board.end(GONE)
                return
            message = found
        picture = message["picture"]
        if picture["state"] != "ready":
            error = picture.get("error") or {"message": "The picture could not be made."}
            await board.end(error["message"])
            return
        data = await self._vestige.download(asked.user, picture["url"])
        photo = await asyncio.to_thread(as_jpeg, data)
        await board.take_away()
        if not await self._sender.show(asked.chat, photo, f"{picture['key'][:16]}.jpg", styled(message)):
            raise Trouble("not_sent", "Telegram did not take the picture. It is in the conversation on the page.")


class _Board:
    """One message that tells how far a picture is: edited when that changes, and not more often than Telegram takes."""

    def __init__(self, sender: Sender, chat: int) -> None:
        self._sender = sender
        self._chat = chat
        self._message: Message | None = None
        self._text = ""
        self._edited = 0.0

    async def tell(self, text: str) -> None:
        if text == self._text or time.monotonic() - self._edited < self._sender.edit_seconds:
            return
        await self._put(text)

    async def end(self, text: str) -> None:
        """The last word, whatever the pace."""
        wait = self._sender.edit_seconds - (time.monotonic() - self._edited)
        if self._message is not None and wait > 0:
            await asyncio.sleep(wait)
        await self._put(text)

    async def take_away(self) -> None:
        if self._message is not None:
            await self._sender.take_away(self._message)

    async def _put(self, text: str) -> None:
        if self._message is None:
            self._message = await self._sender.say(self._chat, text)
        else:
            await self._sender.edit(self._message, text)
        self._text, self._edited = text, time.monotonic()


def progress(picture: Json) -> str:
    """How far a picture is, in words."""
    if picture["state"] == "running":
        return f"The picture is being made: {round(100 * picture.get('share', 0.0))} %"
    position = picture.get("position")
    if position:
        return f"The picture waits: {position} before it."
    return "The picture waits for a free machine." if picture.get("waiting") else "The picture is about to be made."


def as_jpeg(data: bytes) -> bytes:
    """A picture as Telegram's photos take it: they are no WebP.

    Raises:
        Trouble: it is no picture.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("WEBP", "PNG", "JPEG")) as picture:
            out = io.BytesIO()
            picture.convert("RGB").save(out, "JPEG", quality=92)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise Trouble("no_picture", "The picture could not be read. Ask for it again in a moment.") from error
    return out.getvalue()
