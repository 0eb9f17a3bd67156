"""Turns: what a person writes to the bot, answered by the character they talk with."""

from dataclasses import dataclass
from typing import Any

from server.telegram.formatting import Styled, from_html
from server.telegram.sending import Sender
from server.telegram.vestige import Trouble, Vestige

CHOOSE = "Choose somebody to talk with: /characters"


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody's message or tap. `key` is the same however often Telegram delivers it."""

    chat: int
    user: str
    key: str


class Talk:
    """Conversations."""

    def __init__(self, vestige: Vestige, sender: Sender) -> None:
        self._vestige = vestige
        self._sender = sender

    async def say(self, asked: Asked, text: str) -> None:
        """One turn: stored, answered, and the answer sent.

        Raises:
            Trouble: it was not answered; what was stored is kept.
        """
        character = await self.partner(asked.user)
        async with self._sender.doing(asked.chat, "typing"):
            done = await self._vestige.say(asked.user, character, text, key=asked.key)
        await self._sender.say(asked.chat, styled(done["message"]))
        notice = done.get("notice")
        if notice is not None and notice["kind"] == "safety" and notice.get("text"):
            await self._sender.say(asked.chat, notice["text"])

    async def partner(self, user: str) -> str:
        """Whom a person talks with: the active character, or the only one there is.

        Raises:
            Trouble: they have to choose first.
        """
        active = await self._vestige.active(user)
        if active is not None:
            return active
        characters = await self._vestige.characters(user)
        if len(characters) != 1:
            raise Trouble("choose", CHOOSE)
        await self._vestige.activate(user, characters[0]["id"])
        return characters[0]["id"]

    async def greet(self, chat: int, user: str, character: str, name: str) -> None:
        """Says who is there: with the greeting where nothing was said yet."""
        newest = await self._vestige.newest(user, character)
        if newest and newest[-1]["id"] == "greeting":
            await self._sender.say(chat, styled(newest[-1]))
        else:
            await self._sender.say(chat, f"You are talking with {name}.")


def styled(message: dict[str, Any]) -> Styled:
    """A message of the server's as Telegram shows it."""
    return from_html(message["html"])
