"""`vestige worker`."""

import asyncio
import sys
from typing import Annotated

import typer

from server.cli.options import ConfigFile, Data, load_for


def worker(
    context: typer.Context,
    processes: Annotated[int, typer.Option(min=1, max=64, help="Worker processes; each restarts when it dies.")] = 1,
    threads: Annotated[int | None, typer.Option(min=1, max=256, help="Renders that each watches at once.")] = None,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Render pictures on the ComfyUI hosts, beside a running server or on another machine.

    On the server's machine it finds the server's own store by the data folder; elsewhere set REDIS_URL and objects_url
    as the servers have them. Ctrl-C stops it: renders go on at their hosts, and another worker finds them there.
    """
    from server.cli.logs import configure_logging
    from server.errors import SettingsError, StartupError

    settings = load_for(context, config, data, render_threads=threads).settings
    configure_logging(settings.log_level, as_json=settings.log_json)
    if sys.platform == "win32":
        raise StartupError("Workers run on Linux and macOS; on Windows use WSL.")
    if not settings.comfy_hosts:
        raise SettingsError("No ComfyUI host is set up: name one in comfy_hosts.")
    import uvloop

    from server.render.worker.process import run, run_several

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(settings) if processes == 1 else run_several(settings, processes))
