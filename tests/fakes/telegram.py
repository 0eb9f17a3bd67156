"""A scripted Telegram Bot API on loopback, as far as a bot that polls meets it.

    async with FakeTelegram() as fake:
        fake.write(42, "Hello")                     # somebody writes to the bot
        fake.tap(42, data, message)                 # … or taps a button
        fake.flood(retry_after=2)                   # the next call is told to wait
        await fake.heard("sendMessage")             # the calls of a method, once there is a new one
        fake.texts(42)                              # what stands in a chat now, edits and deletions done

Answers have the shape that core.telegram.org/bots/api documents (2026): sizes and offsets are checked as there.
"""

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Self

from aiohttp import web

TOKEN = "42:a-token-of-botfather"
BOT = {"id": 42, "is_bot": True, "first_name": "Companions", "username": "companions_bot"}
Json = dict[str, Any]


@dataclass
class Call:
    """A call of the bot's. `fields` as they came, JSON decoded; `files` by field."""

    method: str
    fields: Json
    files: dict[str, bytes] = field(default_factory=dict)


class FakeTelegram:
    """The server. Chats are numbered by their person."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.chats: dict[int, dict[int, Json]] = defaultdict(dict)
        self._updates: deque[Json] = deque()
        self._update_ids, self._message_ids = count(1_000), count(1)
        self._answers: deque[tuple[str | None, Json]] = deque()
        self._changed = asyncio.Event()

    # what people do

    def write(self, person: int, text: str | None, **message: Any) -> Json:
        """An update with a message; the update, to be sent again."""
        body = {"text": text} if text is not None else {}
        return self.send({"message": self._message(person, body | message)})

    def tap(self, person: int, data: str, message: Json) -> Json:
        query = {"id": "7", "from": _person(person), "chat_instance": "1", "data": data, "message": message}
        return self.send({"callback_query": query})

    def send(self, update: Json) -> Json:
        """Puts an update in line; one that has an id is delivered again."""
        update = {"update_id": next(self._update_ids)} | update
        self._updates.append(update)
        self._wake()
        return update

    # what Telegram does

    def flood(self, retry_after: int, method: str | None = None) -> None:
        self.refuse(429, f"Too Many Requests: retry after {retry_after}", method, retry_after=retry_after)

    def refuse(self, code: int, description: str, method: str | None = None, **parameters: Any) -> None:
        """What the next call (of a method) gets in place of its answer."""
        error = {"ok": False, "error_code": code, "description": description, "parameters": parameters}
        self._answers.append((method, error))

    # what came of it

    def made(self, method: str) -> list[Call]:
        return [call for call in self.calls if call.method == method]

    def texts(self, person: int) -> list[str]:
        return [message.get("text") or message.get("caption", "") for message in self.chats[person].values()]

    def buttons(self, person: int) -> list[Json]:
        """Those of the newest message that has some."""
        for message in reversed(self.chats[person].values()):
            if "reply_markup" in message:
                return [button for row in message["reply_markup"]["inline_keyboard"] for button in row]
        return []

    def newest(self, person: int) -> Json:
        return list(self.chats[person].values())[-1]

    async def heard(self, method: str, more_than: int = 0) -> list[Call]:
        """The calls of a method, once there are more than so many."""
        async with asyncio.timeout(30):
            while len(self.made(method)) <= more_than:
                await self._changed.wait()
        return self.made(method)

    async def shows(self, person: int, text: str) -> None:
        """Returns once a message of the chat is, or holds, this text."""
        async with asyncio.timeout(30):
            while not any(text in one for one in self.texts(person)):
                await self._changed.wait()

    # inside

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post("/bot{token}/{method}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        if request.match_info["token"] != TOKEN:
            return _error(401, "Unauthorized")
        method = request.match_info["method"]
        fields, files = await _read(request)
        if method == "getUpdates":
            return _ok(await self._get_updates(request, fields))
        for at, (wanted, error) in enumerate(self._answers):
            if wanted in (None, method):
                del self._answers[at]
                return web.json_response(error, status=error["error_code"])
        self.calls.append(Call(method, fields, files))
        self._wake()
        return await getattr(self, f"_{method}", self._anything)(fields, files)

    async def _get_updates(self, request: web.Request, fields: Mapping[str, Any]) -> list[Json]:
        offset = int(fields.get("offset") or 0)
        try:
            async with asyncio.timeout(0.2):
                while not self._updates:
                    await self._changed.wait()
        except TimeoutError:
            return []
        if request.transport is None or request.transport.is_closing():  # whoever asked has gone: nothing is taken
            return []
        waiting = [update for update in self._updates if update["update_id"] >= offset or update.get("again")]
        self._updates.clear()
        return [{name: value for name, value in update.items() if name != "again"} for update in waiting]

    async def _anything(self, fields: Json, files: dict[str, bytes]) -> web.Response:
        return _ok(True)

    async def _getMe(self, fields: Json, files: dict[str, bytes]) -> web.Response:
        return _ok(BOT)

    async def _sendMessage(self, fields: Json, files: dict[str, bytes]) -> web.Response:
        return self._put(fields, "text", 4_096)

    async def _sendPhoto(self, fields: Json, files: dict[str, bytes]) -> web.Response:
        if not any(data.startswith((b"\xff\xd8", b"\x89PNG")) for data in files.values()):
            return _error(400, "Bad Request: IMAGE_PROCESS_FAILED")
        photo = [{"file_id": "f", "file_unique_id": "u", "width": 8, "height": 8}]
        return self._put(fields | {"photo": photo}, "caption", 1_024)

    async def _editMessageText(self, fields: Json, files: dict[str, bytes]) -> web.Response:
        message = self.chats[int(fields["chat_id"])].get(int(fields["message_id"]))
        if message is None:
            return _error(400, "Bad Request: message to edit not found")
        if message.get("text") == fields["text"]:
            return _error(400, "Bad Request: message is not modified")
        message.pop("reply_markup", None)
        message["text"] = fields["text"]
        return _ok(message)

    async def _deleteMessage(self, fields: Json, files: dict[str, bytes]) -> web.Response:
        return _ok(self.chats[int(fields["chat_id"])].pop(int(fields["message_id"]), None) is not None)

    def _put(self, fields: Json, text: str, most: int) -> web.Response:
        said = fields.get(text, "")
        length = len(said.encode("utf-16-le")) // 2
        if length > most or (text == "text" and not said.strip()):
            return _error(400, "Bad Request: message is too long or empty")
        for entity in fields.get("entities") or fields.get("caption_entities") or []:
            if not 0 <= entity["offset"] < entity["offset"] + entity["length"] <= length:
                return _error(400, "Bad Request: entity is outside of the text")
        for row in fields.get("reply_markup", {}).get("inline_keyboard", []):
            if any(not 1 <= len(button["callback_data"].encode()) <= 64 for button in row):
                return _error(400, "Bad Request: BUTTON_DATA_INVALID")
        person = int(fields["chat_id"])
        kept = {name: value for name, value in fields.items() if name in (text, "photo", "reply_markup", "entities")}
        message: Json = {**self._message(person, kept), "from": BOT}
        self.chats[person][message["message_id"]] = message
        return _ok(message)

    def _message(self, person: int, body: Json) -> Json:
        chat = {"id": person, "type": "private", "first_name": "P"}
        return {
            "message_id": next(self._message_ids),
            "date": 1_764_000_000,
            "chat": chat,
            "from": _person(person),
            **body,
        }

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


async def _read(request: web.Request) -> tuple[Json, dict[str, bytes]]:
    fields: Json = {}
    files: dict[str, bytes] = {}
    for name, value in (await request.post()).items():
        if isinstance(value, web.FileField):
            files[name] = value.file.read()
        elif isinstance(value, str) and value[:1] in "[{":
            fields[name] = json.loads(value)
        else:
            fields[name] = value
    return fields, files


def _person(id: int) -> Json:
    return {"id": id, "is_bot": False, "first_name": f"Person {id}"}


def _ok(result: object) -> web.Response:
    return web.json_response({"ok": True, "result": result})


def _error(code: int, description: str) -> web.Response:
    return web.json_response({"ok": False, "error_code": code, "description": description}, status=code)
