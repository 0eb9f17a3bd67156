"""What a client was promised, turn by turn, and whether a server keeps it."""

import asyncio
from dataclasses import dataclass, field

import aiohttp

from tests.harness import Client, Json, read_events

LOST = (aiohttp.ClientError, ConnectionError, TimeoutError)
"""What a client sees of a server that is gone."""


@dataclass
class Said:
    """One message and what its client saw of it: its ids once accepted, the reply once done."""

    text: str
    key: str
    user_id: str | None = None
    reply_id: str | None = None
    reply: str | None = None
    failed: list[str] = field(default_factory=list)

    @property
    def accepted(self) -> bool:
        return self.user_id is not None


@dataclass
class Conversation:
    """A conversation as its client knows it. Turns are taken one after the other; `name` is in every message."""

    name: str
    character: str
    said: list[Said] = field(default_factory=list)

    async def turn(self, client: Client) -> Said:
        """Says the next thing and follows its events to the end, or to the end of the server; notes what it saw."""
        number = len(self.said)
        one = Said(f"{self.name} says thing number {number}", f"{self.name}-{number}")
        self.said.append(one)
        await self.follow(client, one)
        return one

    async def follow(self, client: Client, one: Said, *, until: str | None = None) -> None:
        """Sends it, for the first time or again. `until`: leaves after the first event of that name."""
        body = {"character_id": self.character, "message": one.text}
        headers = client.headers({"Idempotency-Key": one.key})
        try:
            async with client.session.post(f"{client.url}/v1/chat", json=body, headers=headers) as response:
                if response.status != 200:
                    one.failed.append((await response.json())["error"]["code"])
                    return
                async for event in read_events(response):
                    self._note(one, event.name, event.data)
                    if event.name == until:
                        return
        except LOST:
            return

    def _note(self, one: Said, name: str, data: Json) -> None:
        if name == "accepted":
            ids = (data["message"]["id"], data["reply_id"])
            assert one.user_id is None or ids == (one.user_id, one.reply_id), "another turn than the first time"
            one.user_id, one.reply_id = ids
        elif name == "done":
            assert one.reply is None or one.reply == data["message"]["text"]
            assert data["message"]["status"] == "complete"
            one.reply = data["message"]["text"]
        elif name == "error":
            one.failed.append(data["error"]["code"])

    async def kept(self, client: Client) -> list[Json]:
        """Checks everything that was promised so far; the history, oldest first.

        What its client never saw accepted may be there or not; everything else is, once, in the order it was said.
        """
        messages = await history(client, self.character)
        asked, replies = messages[0::2], messages[1::2]
        assert [one["role"] for one in messages] == ["user", "assistant"] * len(asked)
        assert len({one["id"] for one in messages}) == len(messages)
        expected = [one for one in self.said if one.accepted or one.text in {each["text"] for each in asked}]
        assert [one["text"] for one in asked] == [one.text for one in expected]
        for one, question, reply in zip(expected, asked, replies, strict=True):
            if one.accepted:
                assert (question["id"], reply["id"]) == (one.user_id, one.reply_id)
            if one.reply is not None:
                assert (reply["status"], reply["text"]) == ("complete", one.reply)
        await check_windows(client, self.character, messages)
        return messages

    async def completed(self, client: Client) -> None:
        """Sends again, with its key, what has no reply yet, and checks that all is there now."""
        for one in self.said:
            if one.reply is None:
                await self.follow(client, one)
                assert one.reply is not None, one
        assert len(await self.kept(client)) == 2 * len(self.said)


async def history(client: Client, character: str) -> list[Json]:
    """All pages of the conversation, oldest first."""
    found: list[Json] = []
    before = ""
    while True:
        status, page = await client.ask("GET", f"/v1/chat/{character}/messages?limit=50{before}")
        assert status == 200, page
        found[:0] = page["messages"]
        if not page["more"]:
            return found
        before = f"&before={found[0]['id']}"


async def windows(client: Client, character: str) -> list[Json]:
    """All closed windows, oldest first."""
    found: list[Json] = []
    before = ""
    while True:
        status, page = await client.ask("GET", f"/v1/memory/{character}/windows?limit=20{before}")
        assert status == 200, page
        found[:0] = page["windows"][::-1]
        if not page["more"]:
            assert [one["index"] for one in found] == list(range(page["total"]))
            return found
        before = f"&before={found[0]['index']}"


async def closed(client: Client, character: str, count: int = 1) -> list[Json]:
    """All closed windows, once there are so many: they close after a turn has been answered."""
    async with asyncio.timeout(60):
        while True:
            found = await windows(client, character)
            if len(found) >= count:
                return found
            await asyncio.sleep(0.05)


async def check_windows(client: Client, character: str, messages: list[Json]) -> None:
    """The closed windows hold the beginning of the conversation, each message once; an export holds all of it."""
    held = [(one["id"], one["text"]) for window in await windows(client, character) for one in window["messages"]]
    shown = [(one["id"], one["text"]) for one in messages]
    assert held == shown[: len(held)]
    status, exported = await client.ask("GET", f"/v1/memory/{character}/export")
    assert (status, [one["id"] for one in exported["messages"]]) == (200, [id for id, _ in shown])
