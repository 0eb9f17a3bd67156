"""`vestige previews`: renders and stored pictures, through the server that runs."""

from typing import Annotated, Any, Literal

import typer

from server.cli.options import ConfigFile, Data, load_for
from server.cli.running import with_server
from server.cli.tables import show
from server.ids import check_slug

previews = typer.Typer(help="Pictures of characters: renders, and what is kept.", no_args_is_help=True)

_LONG_SECONDS = 3_600.0
"""For looking at every picture that is kept."""
State = Literal["waiting", "running", "done", "failed", "cancelled", "dead"]


@previews.command()
def jobs(
    context: typer.Context,
    state: Annotated[State | None, typer.Option(help="Only those in this state.")] = None,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """List renders, the newest first."""
    query = {} if state is None else {"state": state}
    found = with_server(
        load_for(context, config, data).settings, lambda api: api.call("GET", "/v1/admin/jobs", query=query)
    )
    columns = ("job", "state", "line", "character", "item", "host", "tries", "why")
    show(columns, ((_row(job), job["state"] == "done") for job in found["jobs"]))


@previews.command()
def replay(
    context: typer.Context,
    job: Annotated[str, typer.Argument(metavar="JOB", help="As `vestige previews jobs --state dead` lists it.")],
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Try a render that failed again, from the beginning; it costs nothing more."""
    path = f"/v1/admin/jobs/{check_slug(job, 'job_id')}/replay"
    again = with_server(load_for(context, config, data).settings, lambda api: api.call("POST", path))
    print(f"{again['id']} is {again['state']}.")


@previews.command()
def collect(
    context: typer.Context,
    delete: Annotated[bool, typer.Option("--delete", help="Delete them, instead of only counting.")] = False,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Count the pictures that nothing points to any more, or delete them."""
    query = {"dry_run": "false" if delete else "true"}
    path = "/v1/admin/previews/collect"
    found: dict[str, Any] = with_server(
        load_for(context, config, data).settings,
        lambda api: api.call("POST", path, query=query, seconds=_LONG_SECONDS),
    )
    what = "deleted" if delete else "would go (--delete deletes them)"
    old = f"{found['unused']} of {found['looked_at']} pictures that are old enough (preview_days)"
    print(f"{old}, {found['bytes'] / 1e6:.1f} MB: {what}.")


def _row(job: dict[str, Any]) -> tuple[str, ...]:
    why = (job["error"] or {}).get("message") or job["waiting"] or ""
    cells = (job["id"], job["state"], job["line"], job["character_id"], job["item_id"], job["host"], job["attempts"])
    return (*(str(cell) if cell is not None else "" for cell in cells), why)
