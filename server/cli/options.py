"""Options every command takes, before its name or after it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from server.configuration import Loaded, load

ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Settings file; ./vestige.toml where there is one.")
]
Data = Annotated[Path | None, typer.Option("--data", metavar="DIR", help="Data folder; `vestige config` shows which.")]


@dataclass(frozen=True, slots=True)
class Place:
    """`--config` and `--data` as given before the command's name."""

    config: Path | None
    data: Path | None


def load_for(context: typer.Context, config: Path | None, data: Path | None, **flags: object) -> Loaded:
    """The settings of a command: its own options over those given before its name.

    Raises:
        SettingsError: see `server.configuration.load`.
    """
    place: Place = context.obj
    return load({"data": data or place.data, **flags}, file=config or place.config)
