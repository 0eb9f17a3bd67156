"""`vestige telegram`: characters in Telegram."""

import asyncio
import sys

import typer

from server.cli.logs import configure_logging
from server.cli.options import ConfigFile, Data, load_for

__all__ = ["telegram"]


def telegram(context: typer.Context, data: Data = None, config: ConfigFile = None) -> None:
    """Let people talk with characters in Telegram. Needs a bot's token and an API key; docs/telegram.md says how."""
    settings = load_for(context, config, data).settings
    try:
        from server.telegram.bot import check, run
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "aiogram":
            raise
        needed = f"`{sys.executable} -m pip install -r requirements/telegram.txt`"
        sys.exit(f"vestige: aiogram is missing: run {needed} in the clone.")
    from server.telegram.options import Options

    options = Options.of(settings)
    configure_logging(settings.log_level, as_json=settings.log_json)
    name = asyncio.run(check(options))
    people = len(options.people)
    print(f"@{name} listens, for {people} {'person' if people == 1 else 'people'}. Ctrl-C stops it.", flush=True)
    if not people:
        print("Nobody may talk with it yet: set telegram_owner to your own number, which it tells you.", flush=True)
    asyncio.run(run(options))
