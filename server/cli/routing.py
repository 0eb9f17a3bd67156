"""`vestige routing`: checks a routing policy, and shows which models it gives whom."""

import asyncio
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from server.cli.options import ConfigFile, Data, load_for
from server.cli.tables import show
from server.errors import ModelError, SettingsError
from server.routing.catalogue import Listing, read_models
from server.routing.options import Options
from server.routing.policy.online import check_listed
from server.routing.policy.problems import Noted
from server.routing.policy.reading import example as example_text
from server.routing.policy.reading import read_policy, read_text
from server.routing.policy.table import COLUMNS, markdown, rows
from server.settings import Settings
from server.toml_lines import Lines

routing = typer.Typer(help="The routing policy: which models answer whom.", no_args_is_help=True)

File = Annotated[
    Path | None,
    typer.Argument(help="The routing file; the one in the settings where not given, else the example that ships."),
]


@routing.command()
def check(
    context: typer.Context,
    file: File = None,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the providers for their models.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on warnings too.")] = False,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Say what is wrong with a routing file, with line and key; exit code 1 where it cannot be used as it is."""
    settings = load_for(context, config, data).settings
    name, text = _read(file, settings)
    policy, problems = read_policy(text, settings.plans)
    asked = 0
    if policy is not None and not offline:
        from server.routing.open import policy_options

        noted = Noted(Lines(text))
        options = policy_options(policy, settings, keys_needed=False)
        listings = asyncio.run(_listings(options, noted))
        asked = sum(map(len, listings.values()))
        fills = max(plan.context_tokens for plan in settings.plans.values())
        check_listed(policy, listings, noted, today=datetime.now(UTC).date(), context_tokens=fills)
        problems += noted.found
    for problem in problems:
        print(f"{'error' if problem.fatal else 'warning'}: {problem.at(name)}")
    errors = sum(problem.fatal for problem in problems)
    against = f", held against {asked:,} listed models" if asked else ""
    print(f"{name}: {_count(errors, 'error')}, {_count(len(problems) - errors, 'warning')}{against}")
    if errors or (strict and problems):
        raise typer.Exit(1)


@routing.command()
def table(
    context: typer.Context,
    file: File = None,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="As Markdown, for a page.")] = False,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Print which models each tier gets in each mode."""
    settings = load_for(context, config, data).settings
    name, text = _read(file, settings)
    if file is None and settings.routing is None and not as_markdown:
        print("No routing file is set: this is the example that ships, not what this server does.", file=sys.stderr)
    policy, problems = read_policy(text)
    if policy is None:
        raise SettingsError(f"{problems[0].at(name)}.")
    if as_markdown:
        print(markdown(policy), end="")
    else:
        show(COLUMNS, ((row, False) for row in rows(policy)))


@routing.command()
def example() -> None:
    """Print the policy that ships, of models that cost nothing: `vestige routing example > routing.toml`."""
    print(example_text(), end="")


def _read(file: Path | None, settings: Settings) -> tuple[str, str]:
    """What the file is called, and its text."""
    path = file or settings.routing
    return ("the example", example_text()) if path is None else (str(path), read_text(path))


async def _listings(options: Mapping[str, Options], noted: Noted) -> dict[str, Listing]:
    from server.routing.endpoint import ChatEndpoint
    from server.routing.open import open_session

    found: dict[str, Listing] = {}
    async with open_session(keep_alive=False) as session:
        for provider, option in options.items():
            try:
                found[provider] = read_models(await ChatEndpoint(session, option).models())
            except ModelError as error:
                noted.warn(("providers", provider), f"its models could not be looked at: {error.message.rstrip('.')}")
    return found


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
