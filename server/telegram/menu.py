"""Commands and buttons. What a button stands for is looked up again when it is tapped: it may be years old."""

import hashlib
from collections.abc import Iterable, Sequence

from aiogram.types import BotCommand, InlineKeyboardButton, InlineKeyboardMarkup

from server.telegram.dressing import Pictures
from server.telegram.sending import Sender
from server.telegram.talking import CHOOSE, Asked, Talk
from server.telegram.vestige import Json, Trouble, Vestige

COMMANDS = (
    BotCommand(command="characters", description="Whom to talk with"),
    BotCommand(command="picture", description="A picture; say where after it, if you like"),
    BotCommand(command="items", description="What you own, to be put on"),
    BotCommand(command="reset", description="Begin anew"),
    BotCommand(command="help", description="What this bot does"),
)
HELP = (
    "Write, and the character you have chosen answers and remembers.\n\n"
    "/characters – whom to talk with\n"
    "/picture – a picture; you may say where, as in /picture at the harbour\n"
    "/items – what you own: see it on the character, or have it put on\n"
    "/reset – begin anew\n\n"
    "Characters are an AI."
)
OLD = "That button is out of date."
BUTTONS_MOST = 48


class Menu:
    """Answers commands and taps."""

    def __init__(self, vestige: Vestige, sender: Sender, talk: Talk, pictures: Pictures) -> None:
        self._vestige = vestige
        self._sender = sender
        self._talk = talk
        self._pictures = pictures

    async def command(self, asked: Asked, name: str, rest: str) -> None:
        """Raises `Trouble`."""
        match name:
            case "start":
                await self._start(asked)
            case "characters":
                await self._characters(asked)
            case "picture":
                await self._pictures.ask(asked, {"prompt": rest} if rest else {})
            case "items":
                await self._items(asked)
            case "reset":
                await self._reset(asked)
            case _:
                await self._sender.say(asked.chat, HELP)

    async def tapped(self, asked: Asked, data: str) -> str | None:
        """What a button does; a word to be shown at once, if any. Raises `Trouble`."""
        what, _, tag = data.partition(":")
        match what:
            case "talk":
                one = _tagged(await self._vestige.characters(asked.user), tag)
                await self._vestige.activate(asked.user, one["id"])
                await self._talk.greet(asked.chat, asked.user, one["id"], one["name"])
                return one["name"]
            case "anew":
                one = _tagged(await self._vestige.characters(asked.user), tag)
                await self._vestige.reset(asked.user, one["id"])
                await self._talk.greet(asked.chat, asked.user, one["id"], one["name"])
                return "What was said is deleted."
            case "show" | "wear":
                item = _tagged(await self._vestige.owned(asked.user), tag)
                await self._pictures.ask(asked, {"item_id": item["id"], "how": what})
                return None
            case "keep":
                return "Nothing was deleted."
            case _:
                raise Trouble("old", OLD)

    async def _start(self, asked: Asked) -> None:
        character = await self._vestige.active(asked.user)
        if character is None:
            await self._sender.say(asked.chat, HELP)
            await self._characters(asked)
            return
        name = next((one["name"] for one in await self._vestige.characters(asked.user) if one["id"] == character), None)
        if name is None:
            raise Trouble("choose", CHOOSE)
        await self._talk.greet(asked.chat, asked.user, character, name)

    async def _characters(self, asked: Asked) -> None:
        characters = await self._vestige.characters(asked.user)
        if not characters:
            await self._sender.say(asked.chat, "There are no characters here yet: make one on the page.")
            return
        rows = [[_button(one["name"], "talk", one["id"])] for one in characters[:BUTTONS_MOST]]
        more = "" if len(characters) <= BUTTONS_MOST else f" These are the first {BUTTONS_MOST}."
        await self._sender.say(asked.chat, f"Whom would you like to talk with?{more}", _keyboard(rows))

    async def _items(self, asked: Asked) -> None:
        items = [item for item in await self._vestige.owned(asked.user) if item["visual"]]
        if not items:
            await self._sender.say(asked.chat, "You own nothing yet that can be worn.")
            return
        rows = [
            [_button(item["title"], "show", item["id"]), _button("put on", "wear", item["id"])]
            for item in items[:BUTTONS_MOST]
        ]
        await self._sender.say(asked.chat, "Tap an item to see it on the character.", _keyboard(rows))

    async def _reset(self, asked: Asked) -> None:
        character = await self._talk.partner(asked.user)
        name = next(
            (one["name"] for one in await self._vestige.characters(asked.user) if one["id"] == character), "them"
        )
        rows = [[_button("Delete it all", "anew", character), _button("Keep it", "keep", character)]]
        await self._sender.say(asked.chat, f"Begin anew with {name}? What was said will be deleted.", _keyboard(rows))


def tag(id: str) -> str:
    """What a button carries of an id: Telegram allows 64 bytes in all."""
    return hashlib.sha256(id.encode()).hexdigest()[:24]


def _tagged(things: Iterable[Json], wanted: str) -> Json:
    for one in things:
        if tag(one["id"]) == wanted:
            return one
    raise Trouble("old", OLD)


def _button(text: str, what: str, id: str) -> InlineKeyboardButton:
    return InlineKeyboardButton(text=text[:60], callback_data=f"{what}:{tag(id)}")


def _keyboard(rows: Sequence[list[InlineKeyboardButton]]) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup(inline_keyboard=list(rows))
