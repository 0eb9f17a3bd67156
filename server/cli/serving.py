"""`vestige serve`: runs the app until told to stop, and stops without losing anything."""

import asyncio
import errno
import gc
import os
import secrets
import signal
import sys

import structlog
from aiohttp import web

from server.accounts.tokens import sign_in_token
from server.api.keys import ACCOUNTS
from server.api.middlewares import server_options
from server.api.routes import only_loopback
from server.app import CHAT, FOLDER, build_app
from server.cli.logs import configure_logging
from server.cli.running import Running, announced
from server.errors import SettingsError, StartupError
from server.settings import LOOPBACK, Settings

_log = structlog.get_logger(__name__)

_YOUNG_OBJECTS = 10_000
"""New objects between two looks for cycles. A request makes thousands, and hardly any are left in cycles."""


def serve(settings: Settings) -> None:
    """Serves until SIGINT or SIGTERM; a second one ends at once.

    Raises:
        StartupError: one line that says why it cannot start.
    """
    configure_logging(settings.log_level, as_json=settings.log_json, for_good=True)
    if sys.platform == "win32":
        raise StartupError("The server runs on Linux and macOS; on Windows use WSL.")
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    token = secrets.token_urlsafe(32)
    app = build_app(settings, owner_token=token)
    stopping = _stop_signal()
    runner = web.AppRunner(app, handle_signals=False, **server_options())
    try:
        await runner.setup()
        await _refuse_strangers(settings, app)
        _spare_the_collector()
        port = await _listen(runner, settings)
        local = "127.0.0.1" if settings.host in ("0.0.0.0", "localhost") else settings.host  # noqa: S104
        local = "[::1]" if settings.host in ("::", "::1") else local
        url = f"http://{local}:{port}"
        with announced(app[FOLDER], Running(os.getpid(), url, token)):
            _welcome((settings.public_url or url).rstrip("/"), sign_in_token(token))
            await stopping.wait()
            _log.info("draining")
            await app[CHAT].drain()
    finally:
        await runner.cleanup()


def _spare_the_collector() -> None:
    """What a server is made of stays until its end: the garbage collector need not walk through it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 20, 20)


def _stop_signal() -> asyncio.Event:
    """An event that the first SIGINT or SIGTERM sets; the second one ends the process."""
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()

    def stop() -> None:
        if stopping.is_set():
            os._exit(130)
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    return stopping


async def _refuse_strangers(settings: Settings, app: web.Application) -> None:
    """Raises:
    SettingsError: others than this machine could connect, and nobody could tell them apart.
    """
    if only_loopback(settings) or await app[ACCOUNTS].keys(None):
        return
    raise SettingsError(
        f"Refusing to listen on {settings.host} while no API keys exist: create one with `vestige keys create NAME`, "
        "or leave host at 127.0.0.1."
        if settings.host not in LOOPBACK
        else "Refusing to answer to a public name while no API keys exist: create one with `vestige keys create NAME`."
    )


async def _listen(runner: web.AppRunner, settings: Settings) -> int:
    site = web.TCPSite(runner, settings.host, settings.port)
    try:
        await site.start()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise StartupError(
                f"Port {settings.port} on {settings.host} is taken: stop what uses it, or choose another with --port."
            ) from error
        raise StartupError(f"Cannot listen on {settings.host}:{settings.port}: {error.strerror}.") from error
    port: int = runner.addresses[0][1]
    return port


def _welcome(url: str, token: str) -> None:
    sys.stdout.write(f"\nVestige is ready. Open this link to sign in (it works once):\n\n    {url}/?token={token}\n\n")
    sys.stdout.write("Another one: `vestige link`. Stop with Ctrl-C.\n\n")
    sys.stdout.flush()
