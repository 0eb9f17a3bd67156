"""The commands and their help."""

from pathlib import Path
from typing import Annotated

import typer

from server import __version__
from server.cli import people
from server.cli.catalog import catalog
from server.cli.logs import configure_logging
from server.cli.lora import lora
from server.cli.lora_grid import grid
from server.cli.options import ConfigFile, Data, Place, load_for
from server.cli.outfit import outfit
from server.cli.policy import policy
from server.cli.previews import previews
from server.cli.reference import settings_reference
from server.cli.routing import routing
from server.cli.tables import show
from server.cli.telegram import telegram
from server.cli.training import register as register_training
from server.cli.worker import worker

app = typer.Typer(
    name="vestige",
    help="Characters that keep their face, wear exactly the item they were given, and remember.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(people.keys, name="keys")
app.add_typer(people.users, name="users")
app.add_typer(routing, name="routing")
app.add_typer(policy, name="policy")
app.add_typer(catalog, name="catalog")
app.add_typer(lora, name="lora")
register_training(lora)
lora.command()(grid)
app.add_typer(previews, name="previews")


@app.callback()
def common(
    context: typer.Context,
    config: ConfigFile = None,
    data: Data = None,
) -> None:
    context.obj = Place(config, data)
    configure_logging("warning")


@app.command()
def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on; loopback unless said otherwise.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    data: Data = None,
    config: ConfigFile = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
) -> None:
    """Start the server and print one link that signs you in. Ctrl-C stops it; nothing is lost."""
    from server.cli.serving import serve as run

    run(load_for(context, config, data, host=host, port=port, log_level=log_level).settings)


@app.command()
def config(
    context: typer.Context,
    data: Data = None,
    config: ConfigFile = None,
    reference: Annotated[bool, typer.Option("--reference", help="Print docs/settings.md instead.")] = False,
) -> None:
    """Print the effective settings, secrets masked, and where each came from."""
    if reference:
        print(settings_reference(), end="")
        return
    rows = load_for(context, config, data).rows()
    show(("setting", "value", "from"), ((row, row[-1] == "default") for row in rows))


@app.command()
def link(context: typer.Context, data: Data = None, config: ConfigFile = None) -> None:
    """Print a fresh sign-in link for the owner of the running server."""
    people.owner_link(load_for(context, config, data).settings)


@app.command()
def reindex(context: typer.Context, data: Data = None, config: ConfigFile = None) -> None:
    """Embed all memory again after `embedder` changed. Stop the server first; it resumes where it was stopped."""
    from server.cli.reindexing import reindex as run

    run(load_for(context, config, data).settings)


@app.command()
def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The file to write, such as vestige.tar; it must not exist.")],
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Write everything that is kept into one file, while the server runs or not."""
    from server.cli.backing_up import backup as run

    run(load_for(context, config, data).settings, file)


@app.command()
def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A file that `vestige backup` wrote.")],
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Restore a backup into a new data folder (--data) and empty stores."""
    from server.cli.backing_up import restore as run

    run(load_for(context, config, data).settings, file)


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


# here, so that --help begins with what a person runs first
app.command()(worker)
app.command()(telegram)
app.command()(outfit)
