"""Pictures in Telegram: progress by edits, the picture, and what may come in its place.

The server here is one that answers as the real one's models say (`PictureTurnOut`, `HistoryOut`), at the pace of a
test: no GPU is asked.
"""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from PIL import Image

from server.api.picture_views import PictureErrorOut, PictureOut
from server.api.pictures import PictureTurnOut
from server.api.respond import json_response
from server.api.schemas import ActiveNowOut, AlternativeOut, HistoryOut, MessageOut
from server.telegram.dressing import GONE, as_jpeg, progress
from server.telegram.menu import tag
from server.telegram.options import Options
from server.telegram.vestige import Trouble
from tests.fakes.telegram import TOKEN, FakeTelegram
from tests.telegram.conftest import OWNER, polling, telegram

__all__ = ["telegram"]

KEY = "ab" * 32
AT = datetime(2026, 11, 27, tzinfo=UTC)


def webp() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(out, "WEBP")
    return out.getvalue()


def message(picture: PictureOut | None, text: str = "Mira in the **red coat**.") -> MessageOut:
    html = "<p>Mira in the <strong>red coat</strong>.</p>\n" if "**" in text else f"<p>{text}</p>\n"
    one = AlternativeOut(
        text=text,
        html=html,
        created=AT,
        status="complete",
        model=None,
        completion_tokens=None,
        total_ms=None,
        error=None,
        picture=picture,
    )
    return MessageOut(
        id="1-2",
        role="assistant",
        text=text,
        html=html,
        created=AT,
        status="complete",
        edited=None,
        chosen=0,
        model=None,
        alternatives=[one],
        error=None,
        picture=picture,
    )


class Shop:
    """A server whose pictures stand as the test says: `states` one after the other, the last for ever."""

    def __init__(self, *states: PictureOut | None, text: str = "Mira in the **red coat**.") -> None:
        self.states = list(states)
        self.text = text
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []

    @asynccontextmanager
    async def open(self, telegram: FakeTelegram) -> AsyncIterator[Options]:
        app = web.Application()
        app.router.add_get("/v1/active-character", self._active)
        app.router.add_post("/v1/chat/mira/pictures", self._ask)
        app.router.add_get("/v1/chat/mira/messages", self._messages)
        app.router.add_get("/v1/inventory", self._inventory)
        app.router.add_get(f"/v1/previews/{KEY}/picture", self._picture)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield Options(TOKEN, "vst_key", telegram.url, url, {OWNER: "owner"})
        finally:
            await runner.cleanup()

    async def _active(self, request: web.Request) -> web.Response:
        return json_response(ActiveNowOut(character_id="mira"))

    async def _ask(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        self.keys.append(request.headers.get("Idempotency-Key"))
        assert request.query["user_id"] == "owner"
        return json_response(PictureTurnOut(asked=None, message=message(self._next(), self.text)), status=202)

    async def _messages(self, request: web.Request) -> web.Response:
        state = self._next()
        listed = [] if state is None else [message(state, self.text)]
        return json_response(HistoryOut(messages=listed, more=False, epoch=1))

    async def _inventory(self, request: web.Request) -> web.Response:
        coat = {"id": "red-coat", "title": "Red coat", "visual": True}
        song = {"id": "a-song", "title": "A song", "visual": False}
        return json_response({"owned": [{"item": coat}, {"item": song}], "next": None})

    async def _picture(self, request: web.Request) -> web.Response:
        assert request.query["user_id"] == "owner"
        return web.Response(body=webp(), content_type="image/webp")

    def _next(self) -> PictureOut | None:
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]


def state(name: Any, **more: Any) -> PictureOut:
    return PictureOut(key=KEY, state=name, **more)


LACKS = PictureErrorOut(code="graph_rejected", message="gpu1 lacks it.")
READY = state("ready", url=f"/v1/previews/{KEY}/picture", width=8, height=8)


async def test_progress_is_edited_and_the_picture_takes_its_place(telegram: FakeTelegram) -> None:
    halves = [state("running", share=0.5)] * 6
    shop = Shop(state("waiting", position=2), *[state("waiting", position=2)] * 3, *halves, READY)
    async with shop.open(telegram) as given, polling(given):
        telegram.write(OWNER, "/picture at the harbour")
        await telegram.heard("sendPhoto")
        await telegram.heard("deleteMessage")
    assert shop.asked == [{"prompt": "at the harbour"}]
    assert shop.keys[0] is not None and shop.keys[0].startswith("telegram-42-")
    assert telegram.made("sendMessage")[0].fields["text"] == "The picture waits: 2 before it."
    assert [call.fields["text"] for call in telegram.made("editMessageText")] == ["The picture is being made: 50 %"]
    photo = telegram.made("sendPhoto")[0]
    assert photo.fields["caption"] == "Mira in the red coat."
    assert photo.fields["caption_entities"] == [{"type": "bold", "offset": 12, "length": 8}]
    assert next(iter(photo.files.values())).startswith(b"\xff\xd8")
    assert telegram.texts(OWNER) == ["Mira in the red coat."]
    assert telegram.made("sendChatAction")[0].fields["action"] == "upload_photo"


async def test_an_items_buttons(telegram: FakeTelegram) -> None:
    shop = Shop(READY)
    async with shop.open(telegram) as given, polling(given):
        telegram.write(OWNER, "/items")
        await telegram.shows(OWNER, "Tap an item")
        buttons = telegram.buttons(OWNER)
        assert [one["text"] for one in buttons] == ["Red coat", "put on"]  # a song cannot be worn
        board = telegram.newest(OWNER)
        for number, button in enumerate(buttons):
            telegram.tap(OWNER, button["callback_data"], board)
            await telegram.heard("sendPhoto", number)
    assert shop.asked == [{"item_id": "red-coat", "how": "show"}, {"item_id": "red-coat", "how": "wear"}]
    assert tag("red-coat") in buttons[0]["callback_data"]


@pytest.mark.parametrize(
    ("states", "told"),
    [
        (
            [state("waiting"), state("failed", error=PictureErrorOut(code="x", message="gpu1 lacks it."))],
            "gpu1 lacks it.",
        ),
        ([state("failed")], "could not be made"),
        ([state("running"), None], GONE),
        ([None], "Mira in the red coat."),
    ],
)
async def test_what_comes_in_its_place(telegram: FakeTelegram, states: list[PictureOut | None], told: str) -> None:
    async with Shop(*states).open(telegram) as given, polling(given):
        telegram.write(OWNER, "/picture")
        await telegram.shows(OWNER, told)
    assert telegram.made("sendPhoto") == []


async def test_a_long_caption_goes_on_below(telegram: FakeTelegram) -> None:
    text = " ".join(["She turns once for you."] * 100)
    async with Shop(READY, text=text).open(telegram) as given, polling(given):
        telegram.write(OWNER, "/picture")
        await telegram.heard("sendMessage")
        await asyncio.sleep(0)
    photo, *rest = telegram.texts(OWNER)
    assert len(photo) <= 1_024
    assert " ".join([photo, *rest]) == text


@pytest.mark.parametrize(
    ("picture", "text"),
    [
        ({"state": "running", "share": 0.426}, "The picture is being made: 43 %"),
        ({"state": "waiting", "position": 3}, "The picture waits: 3 before it."),
        ({"state": "waiting", "waiting": "no host"}, "The picture waits for a free machine."),
        ({"state": "waiting", "position": 0}, "The picture is about to be made."),
    ],
)
def test_progress_in_words(picture: dict[str, Any], text: str) -> None:
    assert progress(picture) == text


@pytest.mark.parametrize("data", [b"", b"<html>", webp()[:20]])
def test_what_is_no_picture(data: bytes) -> None:
    with pytest.raises(Trouble):
        as_jpeg(data)
