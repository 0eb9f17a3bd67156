"""The bot: who may use it, each update once, and every trouble in one plain sentence."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import structlog
from aiogram import Bot, Dispatcher, F
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.enums import ChatType
from aiogram.exceptions import TelegramAPIError, TelegramNetworkError, TelegramNotFound, TelegramUnauthorizedError
from aiogram.types import CallbackQuery, Message, TelegramObject, Update, User

from server.errors import SettingsError
from server.telegram.dressing import LOOK_SECONDS, Pictures
from server.telegram.menu import COMMANDS, Menu
from server.telegram.options import Options
from server.telegram.sending import EDIT_SECONDS, Sender
from server.telegram.talking import Asked, Talk
from server.telegram.vestige import Trouble, Vestige

_log = structlog.get_logger(__name__)

SEEN_MOST = 4_096
DRAIN_SECONDS = 20.0
"""How long answers under way may take when the bot is told to stop."""
NEEDED = ("chat", "characters", "catalog")
STRANGER = "This bot is private. Whoever runs it can let you in: your number here is {id}."
ONLY_TEXT = "I can only read text."
BROKEN = "Something went wrong in the bot. Please try again in a moment."


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: before a lost call is made again, between edits of a message, between looks at a picture."""

    pause: float = 1.0
    edit: float = EDIT_SECONDS
    look: float = LOOK_SECONDS


class Once:
    """Lets each update through once: Telegram delivers one again where its answer was lost."""

    def __init__(self) -> None:
        self._seen: OrderedDict[int, None] = OrderedDict()

    async def __call__(
        self,
        handler: Callable[[TelegramObject, dict[str, Any]], Awaitable[Any]],
        event: TelegramObject,
        data: dict[str, Any],
    ) -> Any:
        if isinstance(event, Update):
            if event.update_id in self._seen:
                return None
            self._seen[event.update_id] = None
            if len(self._seen) > SEEN_MOST:
                self._seen.popitem(last=False)
        return await handler(event, data)


class Companion:
    """What the bot does with messages and taps."""

    def __init__(self, bot: Bot, options: Options, vestige: Vestige, pace: Pace) -> None:
        self._bot = bot
        self._people = options.people
        self._sender = sender = Sender(bot, pause=pace.pause, edit_seconds=pace.edit)
        self._talk = talk = Talk(vestige, sender)
        self._menu = Menu(vestige, sender, talk, Pictures(vestige, sender, talk, look_seconds=pace.look))
        self._told: OrderedDict[int, None] = OrderedDict()
        self._working: set[asyncio.Task[Any]] = set()

    def attach(self, dispatcher: Dispatcher) -> None:
        dispatcher.update.outer_middleware(Once())
        dispatcher.message.register(self.message, F.chat.type == ChatType.PRIVATE)
        dispatcher.callback_query.register(self.tap)

    async def drain(self, seconds: float) -> None:
        """Lets what is being answered be answered, for so long."""
        if self._working:
            await asyncio.wait(self._working, timeout=seconds)

    async def message(self, message: Message, event_update: Update) -> None:
        asked = await self._asked(message.from_user, message.chat.id, event_update)
        if asked is None:
            return
        text = message.text
        if text is None:
            await self._sender.say(asked.chat, ONLY_TEXT)
        elif text.startswith("/"):
            name, _, rest = text[1:].partition(" ")
            await self._tell(asked, self._menu.command(asked, name.partition("@")[0].lower(), rest.strip()))
        else:
            await self._tell(asked, self._talk.say(asked, text))

    async def tap(self, query: CallbackQuery, event_update: Update) -> None:
        chat = query.message.chat.id if query.message is not None else query.from_user.id
        asked = await self._asked(query.from_user, chat, event_update)
        word: str | None = None
        with suppress(TelegramAPIError):
            await self._bot.answer_callback_query(query.id)  # at once: what it starts may take minutes
        if asked is not None:
            word = await self._tell(asked, self._menu.tapped(asked, query.data or ""))
        if asked is not None and word is not None and isinstance(query.message, Message):
            await self._sender.edit(query.message, word)

    async def _asked(self, sender: User | None, chat: int, update: Update) -> Asked | None:
        """Whose update this is; None for a stranger, who is told so once."""
        if sender is None or sender.is_bot:
            return None
        user = self._people.get(sender.id)
        if user is None:
            if sender.id not in self._told:
                self._told[sender.id] = None
                if len(self._told) > SEEN_MOST:
                    self._told.popitem(last=False)
                await self._sender.say(chat, STRANGER.format(id=sender.id))
            return None
        return Asked(chat, user, f"telegram-{self._bot.id}-{update.update_id}")

    async def _tell(self, asked: Asked, work: Awaitable[str | None]) -> str | None:
        task = asyncio.current_task()
        if task is not None:
            self._working.add(task)
            task.add_done_callback(self._working.discard)
        try:
            return await work
        except Trouble as trouble:
            _log.info("telegram_trouble", code=trouble.code)
            await self._sender.say(asked.chat, trouble.text)
        except Exception as error:
            # what a person wrote may be in its message: the type must do
            _log.error("telegram_broke", error=type(error).__qualname__)
            await self._sender.say(asked.chat, BROKEN)
        return None


@asynccontextmanager
async def open_bot(options: Options, pace: Pace | None = None) -> AsyncIterator[tuple[Bot, Dispatcher]]:
    """The bot, ready to poll. On the way out, what it was answering is answered."""
    pace = pace or Pace()
    session = AiohttpSession(api=TelegramAPIServer.from_base(options.api))
    async with Vestige.open(options, pause=pace.pause) as vestige, Bot(options.token, session=session) as bot:
        dispatcher = Dispatcher()
        companion = Companion(bot, options, vestige, pace)
        companion.attach(dispatcher)
        yield bot, dispatcher
        await companion.drain(DRAIN_SECONDS)


async def check(options: Options, pace: Pace | None = None) -> str:
    """The bot's name, once both its credentials are known to be good.

    Raises:
        SettingsError: one of them is not.
    """
    try:
        async with open_bot(options, pace) as (bot, _):
            name = (await bot.get_me()).username or ""
            with suppress(TelegramAPIError):
                await bot.set_my_commands(list(COMMANDS))
    except (TelegramUnauthorizedError, TelegramNotFound):
        raise SettingsError("Telegram does not know telegram_token: ask @BotFather for it again.") from None
    except TelegramNetworkError as error:
        raise SettingsError(f"Telegram does not answer at {options.api}: {error.message}") from None
    async with Vestige.open(options, pause=(pace or Pace()).pause) as vestige:
        try:
            scopes = (await vestige.me())["scopes"]
        except Trouble as trouble:
            if trouble.code == "away":
                _log.warning("server_away", server=options.server)  # it may come: people are told until then
                return name
            raise SettingsError("The server does not know telegram_key: make one with `vestige keys create`.") from None
    missing = [scope for scope in NEEDED if scope not in scopes]
    if missing:
        raise SettingsError(f"telegram_key lacks the scope '{missing[0]}': make one with {', '.join(NEEDED)}.")
    return name


async def run(options: Options) -> None:
    """Polls until the process is told to stop."""
    async with open_bot(options) as (bot, dispatcher):
        await dispatcher.start_polling(bot, allowed_updates=["message", "callback_query"], close_bot_session=False)
