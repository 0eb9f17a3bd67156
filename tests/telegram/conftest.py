"""A bot that polls a fake Telegram and talks with the whole server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from server.api.keys import ACCOUNTS
from server.telegram.bot import NEEDED, Pace, open_bot
from server.telegram.options import Options
from tests.fakes.telegram import TOKEN, FakeTelegram
from tests.harness import Server

OWNER, ANNA, STRANGER = 7, 8, 9
"""Numbers in Telegram."""
QUICK = Pace(pause=0.01, edit=0.05, look=0.02)

Polling = Callable[..., Any]


async def options(server: Server, telegram: FakeTelegram, /, **change: Any) -> Options:
    """The owner and Anna may talk; the key is fresh."""
    accounts = server.app[ACCOUNTS]
    anna = await accounts.add_user("home", "Anna")
    _, key = await accounts.create_key("home", "telegram", NEEDED)
    given: dict[str, Any] = {
        "token": TOKEN,
        "key": key,
        "api": telegram.url,
        "server": server.url,
        "people": {OWNER: "owner", ANNA: anna.id},
    }
    return Options(**(given | change))


@pytest.fixture
async def telegram() -> AsyncIterator[FakeTelegram]:
    async with FakeTelegram() as fake:
        yield fake


@asynccontextmanager
async def polling(given: Options) -> AsyncIterator[None]:
    """The bot, for as long as it is inside."""
    async with open_bot(given, QUICK) as (bot, dispatcher):
        running = asyncio.create_task(
            dispatcher.start_polling(bot, handle_signals=False, close_bot_session=False, polling_timeout=1)
        )
        try:
            yield
        finally:
            await dispatcher.stop_polling()
            await running
