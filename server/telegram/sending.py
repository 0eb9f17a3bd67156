"""Every call to Telegram goes through here: it waits where Telegram says so, and nothing it refuses ends the bot."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import structlog
from aiogram import Bot
from aiogram.exceptions import (
    TelegramAPIError,
    TelegramForbiddenError,
    TelegramNetworkError,
    TelegramRetryAfter,
    TelegramServerError,
)
from aiogram.types import BufferedInputFile, InlineKeyboardMarkup, Message, MessageEntity

from server.telegram.formatting import Span, Styled, units
from server.telegram.splitting import CAPTION_UNITS, split

_log = structlog.get_logger(__name__)

TRIES = 5
WAIT_MOST = 300.0
"""Seconds. Whoever floods for longer than this is not answered."""
EDIT_SECONDS = 1.2
"""Between two edits of one message: Telegram takes about one a second."""
ACTION_SECONDS = 4.5
"""`typing…` is shown for five."""

T = TypeVar("T")


class Sender:
    """Sends to chats. What cannot be sent is logged and None; `pause` is how long a lost connection is waited for."""

    def __init__(self, bot: Bot, *, pause: float = 1.0, edit_seconds: float = EDIT_SECONDS) -> None:
        self._bot = bot
        self._pause = pause
        self.edit_seconds = edit_seconds

    async def say(self, chat: int, said: str | Styled, keyboard: InlineKeyboardMarkup | None = None) -> Message | None:
        """In as many messages as it takes; the last one, which has the keyboard."""
        pieces = split(Styled(said) if isinstance(said, str) else said)
        sent: Message | None = None
        for number, piece in enumerate(pieces):
            markup = keyboard if number == len(pieces) - 1 else None
            sent = await self._try(
                lambda piece=piece, markup=markup: self._bot.send_message(
                    chat, piece.text, entities=_entities(piece), reply_markup=markup
                )
            )
            if sent is None:
                return None
        return sent

    async def show(self, chat: int, picture: bytes, name: str, caption: Styled) -> bool:
        """A picture, and what does not fit under it as messages of its own. False: it could not be sent."""
        first, *rest = split(caption, CAPTION_UNITS) or [Styled("")]
        sent = await self._try(
            lambda: self._bot.send_photo(
                chat,
                BufferedInputFile(picture, name),
                caption=first.text or None,
                caption_entities=_entities(first) or None,
            )
        )
        for piece in rest:
            await self.say(chat, piece)
        return sent is not None

    async def edit(self, message: Message, text: str) -> None:
        await self._try(
            lambda: self._bot.edit_message_text(text, chat_id=message.chat.id, message_id=message.message_id)
        )

    async def take_away(self, message: Message) -> None:
        await self._try(lambda: self._bot.delete_message(message.chat.id, message.message_id))

    @asynccontextmanager
    async def doing(self, chat: int, action: str) -> AsyncIterator[None]:
        """Shows what the bot is doing, such as `typing`, for as long as it takes."""

        async def show() -> None:
            while True:
                with suppress(TelegramAPIError):
                    await self._bot.send_chat_action(chat, action)
                await asyncio.sleep(ACTION_SECONDS)

        showing = asyncio.create_task(show(), name="chat-action")
        try:
            yield
        finally:
            showing.cancel()

    async def _try(self, call: Callable[[], Awaitable[T]]) -> T | None:
        waited = 0.0
        for attempt in range(TRIES):
            try:
                return await call()
            except TelegramRetryAfter as flood:
                wait = float(flood.retry_after)
            except (TelegramNetworkError, TelegramServerError):
                wait = self._pause * 2**attempt
            except TelegramForbiddenError:
                _log.info("telegram_blocked")
                return None
            except TelegramAPIError as error:
                _log.warning("telegram_refused", error=type(error).__name__)
                return None
            waited += wait
            if waited > WAIT_MOST:
                break
            await asyncio.sleep(wait)
        _log.warning("telegram_gave_up", seconds=waited)
        return None


def _entities(piece: Styled) -> list[MessageEntity]:
    return [_entity(piece.text, span) for span in _flat(piece.spans)]


def _flat(spans: Sequence[Span]) -> list[Span]:
    """A quotation within a quotation is refused: the outer one is enough."""
    quotes = [span for span in spans if span.kind == "blockquote"]
    return [
        span
        for span in spans
        if span.kind != "blockquote"
        or not any(one is not span and one.start <= span.start and span.end <= one.end for one in quotes)
    ]


def _entity(text: str, span: Span) -> MessageEntity:
    return MessageEntity(type=span.kind, offset=units(text[: span.start]), length=units(text[span.start : span.end]))
