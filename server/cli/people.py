"""`vestige keys`, `vestige users`, `vestige link`: who may use the server."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import typer

from server.accounts.principal import OWNER, SCOPES
from server.cli.admin import AdminApi, admin_api, running_api
from server.cli.options import ConfigFile, Data, load_for
from server.cli.running import running_server
from server.cli.tables import show
from server.settings import Settings

T = TypeVar("T")

_SCOPES = f"What it may do, may be repeated: {', '.join(sorted(SCOPES))}. `chat` where not given."

keys = typer.Typer(help="API keys, for programs. A key is shown once, when it is created.", no_args_is_help=True)
users = typer.Typer(
    help="People who share this server. Each signs in with a link that works once.", no_args_is_help=True
)


def _with_api(settings: Settings, use: Callable[[AdminApi], Awaitable[T]]) -> T:
    return asyncio.run(_call(settings, use))


async def _call(settings: Settings, use: Callable[[AdminApi], Awaitable[T]]) -> T:
    async with admin_api(settings) as api:
        return await use(api)


def _table(rows: list[dict[str, Any]], columns: dict[str, str]) -> None:
    show(list(columns.values()), (([_cell(row[name]) for name in columns], False) for row in rows))


def _cell(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "–" if value is None else str(value)


@keys.command("create")
def create_key(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    scope: Annotated[list[str] | None, typer.Option("--scope", help=_SCOPES)] = None,
    user: Annotated[str | None, typer.Option(help="Bind the key to one user's id; else requests name a user.")] = None,
    tier: Annotated[str | None, typer.Option(help="The plan its turns run on.")] = None,
    tenant: Annotated[str | None, typer.Option(help="A product of its own, apart from this household.")] = None,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Create a key and print it. It is stored only as a hash."""
    body = {"name": name, "scopes": scope or ["chat"], "user_id": user, "tier": tier, "tenant": tenant}
    made = _with_api(load_for(context, config, data).settings, lambda api: api.call("POST", "/v1/admin/keys", body))
    print(made["secret"])


@keys.command("list")
def list_keys(
    context: typer.Context,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """List the keys, without their secrets."""
    found = _with_api(load_for(context, config, data).settings, lambda api: api.call("GET", "/v1/admin/keys"))["keys"]
    _table(
        found,
        {
            "id": "id",
            "name": "name",
            "scopes": "scopes",
            "tenant": "tenant",
            "user_id": "user",
            "last_used": "last used",
        },
    )


@keys.command("revoke")
def revoke_key(
    context: typer.Context,
    key: Annotated[str, typer.Argument(metavar="ID")],
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Revoke a key; it stops working at once."""
    _with_api(load_for(context, config, data).settings, lambda api: api.call("DELETE", f"/v1/admin/keys/{key}"))
    print(f"{key} is revoked.")


@users.command("add")
def add_user(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The name characters call them.")],
    tier: Annotated[str | None, typer.Option(help="Their plan.")] = None,
    admin: Annotated[bool, typer.Option("--admin", help="May manage users, keys and all characters.")] = False,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Add a user and print the link that signs them in, once."""
    body = {"name": name, "tier": tier, "role": "admin" if admin else "member"}
    print(
        _with_api(load_for(context, config, data).settings, lambda api: api.call("POST", "/v1/admin/users", body))[
            "link"
        ]
    )


@users.command("list")
def list_users(
    context: typer.Context,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """List the users."""
    found = _with_api(load_for(context, config, data).settings, lambda api: api.call("GET", "/v1/admin/users"))["users"]
    _table(found, {"id": "id", "name": "name", "role": "role", "tier": "tier", "last_seen": "last seen"})


@users.command("link")
def user_link(
    context: typer.Context,
    user: Annotated[str, typer.Argument(metavar="ID")],
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Print a fresh sign-in link for a user."""
    print(
        _with_api(
            load_for(context, config, data).settings, lambda api: api.call("POST", f"/v1/admin/users/{user}/link")
        )["link"]
    )


@users.command("remove")
def remove_user(
    context: typer.Context,
    user: Annotated[str, typer.Argument(metavar="ID")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Remove a user and everything they ever said here, for good. The server must be running."""
    settings = load_for(context, config, data).settings
    running = running_server(settings.data)  # it holds the memory that has to go with the user
    if not yes:
        typer.confirm(f"Remove {user} and everything they said here, for good?", abort=True)

    async def remove() -> Any:
        async with running_api(running) as api:
            return await api.call("DELETE", f"/v1/admin/users/{user}")

    answer = asyncio.run(remove())
    print(f"{user} is removed: " + ", ".join(f"{count} {what}" for what, count in answer["deleted"].items()) + ".")
    for host in answer["hosts"]:
        print(f"{host['name']} has {host['things']} of their renders and pictures still to delete: {host['why']}")


def owner_link(settings: Settings) -> None:
    """Prints a fresh sign-in link for the owner of the running server.

    Raises:
        StartupError: no server has the data folder open.
    """
    running = running_server(settings.data)

    async def ask() -> Any:
        async with running_api(running) as api:
            return await api.call("POST", f"/v1/admin/users/{OWNER}/link")

    print(asyncio.run(ask())["link"])
