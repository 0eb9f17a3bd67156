"""`vestige lora`: the LoRAs of characters, through the server that runs."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from server.cli.options import ConfigFile, Data, load_for
from server.cli.running import with_server
from server.cli.tables import show as show_table
from server.errors import InvalidRequest, NotFound
from server.ids import check_slug
from server.settings import Settings

if TYPE_CHECKING:
    from server.cli.admin import AdminApi

PIECE_BYTES = 1 << 20
LONG_SECONDS = 3_600.0
"""For what reads whole files: they may have 4 GB."""

lora = typer.Typer(help="Character LoRAs: check, keep, compare, and choose which one is worn.", no_args_is_help=True)


def _slug(name: str | None) -> str | None:
    return None if name is None else check_slug(name, "name")


Name = Annotated[str, typer.Argument(metavar="CHARACTER", callback=_slug, help="The character's name in the registry.")]
OnlyName = Annotated[str | None, typer.Argument(metavar="CHARACTER", callback=_slug, help="Only this one's versions.")]
Version = Annotated[str, typer.Argument(metavar="VERSION", help="Such as v3 or 3.")]


def number(version: str) -> int:
    """`v3` and `3` are 3.

    Raises:
        InvalidRequest: it is no version.
    """
    match = re.fullmatch(r"v?([1-9]\d{0,5})", version.strip().lower(), re.ASCII)
    if match is None:
        raise InvalidRequest(f"{version!r} is no version: write v3, or 3.")
    return int(match[1])


@lora.command()
def add(
    context: typer.Context,
    name: Name,
    file: Annotated[Path, typer.Argument(help="The .safetensors file.", exists=True, dir_okay=False)],
    notes: Annotated[str, typer.Option(help="What is new in it.")] = "",
    training: Annotated[
        Path | None, typer.Option("--training", help="The trainer's configuration, kept with the version.", exists=True)
    ] = None,
    dataset_report: Annotated[
        Path | None,
        typer.Option(help="What `check-dataset --json` wrote; its sha256 is kept.", exists=True),
    ] = None,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Add a file as the next version of a character. The first one goes live; the same file twice is one version."""
    from server.loras.files import examine

    with file.open("rb") as opened:
        found = examine(opened)
    draft = {
        "sha256": found.sha256,
        "notes": notes,
        "training": _text(training) if training else "",
        "dataset_report": hashlib.sha256(dataset_report.read_bytes()).hexdigest() if dataset_report else None,
    }

    async def send(api: "AdminApi") -> tuple[Any, bool]:
        before = {line["sha256"]: line["version"] for line in (await _lines(api, name))}
        if found.sha256 not in before:
            try:
                await api.call("GET", f"/v1/admin/lora-files/{found.sha256}")
            except NotFound:
                await api.send("/v1/admin/lora-files", _pieces(file), found.bytes, seconds=LONG_SECONDS)
        made = await api.call("POST", f"/v1/admin/loras/{name}/versions", draft)
        return made, made["version"] not in before.values()

    made, new = with_server(load_for(context, config, data).settings, send)
    if not new:
        print(f"This file is v{made['version']} of {name} already: nothing was added.")
        return
    live = "it is live" if made["live"] else f"`vestige lora promote {name} v{made['version']}` makes it live"
    print(f"{name} v{made['version']}: {_described(made['file'])}; {live}.")
    for notice in made["file"]["notices"]:
        print(f"Note: {notice}")


@lora.command("list")
def list_loras(
    context: typer.Context,
    name: OnlyName = None,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """List versions, newest first."""
    lines = with_server(load_for(context, config, data).settings, lambda api: _lines(api, name))
    show_table(
        ("character", "version", "live", "base", "dim", "alpha", "steps", "size", "added", "AutoV2"),
        (
            (
                [
                    line["name"],
                    f"v{line['version']}",
                    "live" if line["live"] else "",
                    line["base_family"] or "–",
                    _cell(line["dim"]),
                    _cell(line["alpha"]),
                    _cell(line["steps"]),
                    _size(line["bytes"]),
                    line["added"][:10],
                    line["sha256"][:10],
                ],
                not line["live"],
            )
            for line in lines
        ),
    )


@lora.command("show")
def show_lora(
    context: typer.Context,
    name: Name,
    version: Annotated[str | None, typer.Argument(metavar="VERSION", help="The live one where not given.")] = None,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Show a version in full, and how the live version of its character moved."""

    async def look(api: "AdminApi") -> tuple[Any, Any]:
        character = await api.call("GET", f"/v1/admin/loras/{name}")
        wanted = character["live"] if version is None else number(version)
        return character, await api.call("GET", f"/v1/admin/loras/{name}/versions/{wanted}")

    character, found = with_server(load_for(context, config, data).settings, look)
    file, facts = found["file"], found["file"]["facts"]
    rows = {
        "version": f"{name} v{found['version']}" + (" (live)" if found["live"] else ""),
        "sha256": file["sha256"],
        "AutoV2, AutoV3": f"{file['auto_v2']}, {file['auto_v3']}",
        "size": _size(file["bytes"]),
        "trained by": facts["trainer"],
        "network": f"{facts['network']}, dim {_cell(facts['dim'])}, alpha {_cell(facts['alpha'])}, {facts['dtype']}",
        "steps, epochs": f"{_cell(facts['steps'])}, {_cell(facts['epochs'])}",
        "base": f"{facts['base_family'] or 'unknown'}" + (f" ({facts['evidence']})" if facts["evidence"] else ""),
        "base file": " ".join(filter(None, (facts["base_name"], facts["base_sha256"]))) or None,
        "tags": ", ".join(f"{tag} {count}" for tag, count in facts["tags"][:12]) or None,
        "dataset report": found["dataset_report"],
        "training": f"{len(found['training'].splitlines())} lines" if found["training"] else None,
        "notes": found["notes"] or None,
        "added": f"{found['added']} by {found['added_by']}",
        "kept on hosts": "yes" if character["hot"] else "while it is used",
    }
    show_table(("", ""), (((label, _cell(value)), value is None) for label, value in rows.items()))
    for notice in file["notices"]:
        print(f"Note: {notice}")
    for move in character["moves"][:10]:
        print(f"{move['at'][:19]}  {_moved(move)}, by {move['by']}")


@lora.command()
def promote(
    context: typer.Context,
    name: Name,
    version: Version,
    if_live: Annotated[str | None, typer.Option(help="Only where this version is live now.")] = None,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Make a version the live one; previews of this character follow."""
    body = {"version": number(version), "if_live": number(if_live) if if_live else None}
    settings = load_for(context, config, data).settings
    moved = with_server(settings, lambda api: api.call("PUT", f"/v1/admin/loras/{name}/live", body))
    same = moved["before"] == moved["to"]
    print(f"{name} v{moved['to']} is live already." if same else f"{name}: {_moved(moved)}.")


@lora.command()
def rollback(context: typer.Context, name: Name, data: Data = None, config: ConfigFile = None) -> None:
    """Go back to the version that was live before."""

    async def back(api: "AdminApi") -> Any:
        live = (await api.call("GET", f"/v1/admin/loras/{name}"))["live"]  # else two people would go back two versions
        return await api.call("POST", f"/v1/admin/loras/{name}/rollback", {"if_live": live})

    print(f"{name}: {_moved(with_server(load_for(context, config, data).settings, back))}.")


@lora.command()
def pin(context: typer.Context, name: Name, data: Data = None, config: ConfigFile = None) -> None:
    """Keep a character's live version on the hosts that have it, whatever else wants the room."""
    _heat(load_for(context, config, data).settings, name, True)
    print(f"{name}'s live version stays on the hosts.")


@lora.command()
def unpin(context: typer.Context, name: Name, data: Data = None, config: ConfigFile = None) -> None:
    """Let a character's live version make room on the hosts again."""
    _heat(load_for(context, config, data).settings, name, False)
    print(f"{name}'s live version stays while it is used.")


@lora.command()
def verify(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="CHARACTER", callback=_slug, help="Only this one's versions.")
    ] = None,
    version: Annotated[str | None, typer.Argument(metavar="VERSION", help="Only this one.")] = None,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Hash what the store and the hosts have anew; exit code 1 where something is not as it was."""
    only = number(version) if version else None

    async def check(api: "AdminApi") -> bool:
        sound = True
        lines = [line for line in await _lines(api, name) if only in (None, line["version"])]
        if name and not lines:
            raise NotFound(f"There is no {f'v{only}' if only else 'LoRA'} of {name}: `vestige lora list` shows them.")
        for line in lines:
            place = f"/v1/admin/loras/{line['name']}/versions/{line['version']}/verify"
            found = await api.call("POST", place, seconds=LONG_SECONDS)
            places = {"store": found["store"], **found["hosts"]}
            print(f"{line['name']} v{line['version']}: " + ", ".join(f"{at} {what}" for at, what in places.items()))
            sound = sound and not {"missing", "damaged"} & {found["store"], *found["hosts"].values()}
        return sound

    if not with_server(load_for(context, config, data).settings, check):
        raise typer.Exit(1)


@lora.command("retrain-list")
def retrain_list(
    context: typer.Context,
    base: Annotated[str, typer.Option(metavar="HASH|LINEAGE", help="The old base: its sha256, or a lineage.")],
    new: Annotated[str | None, typer.Option(metavar="HASH", help="The sha256 of the new base.")] = None,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """List the live versions that a change of their base leaves behind."""
    query = {"base": base} | ({"new": new} if new else {})
    settings = load_for(context, config, data).settings
    found = with_server(settings, lambda api: api.call("GET", "/v1/admin/lora-retrain", query=query))["loras"]
    if not found:
        print("Nothing that is live was trained on it.")
        return
    show_table(
        ("character", "version", "base", "needs it", "why"),
        (
            (
                [
                    line["name"],
                    f"v{line['version']}",
                    line["base_family"] or "–",
                    "yes" if line["certain"] else "perhaps",
                    line["why"],
                ],
                not line["certain"],
            )
            for line in found
        ),
    )


def _heat(settings: Settings, name: str, hot: bool) -> None:
    with_server(settings, lambda api: api.call("PUT", f"/v1/admin/loras/{name}/hot", {"hot": hot}))


async def _lines(api: "AdminApi", name: str | None) -> list[Any]:
    return (await api.call("GET", "/v1/admin/loras", query={} if name is None else {"name": name}))["loras"]


async def _pieces(file: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(file.open, "rb") as opened:
        while piece := await asyncio.to_thread(opened.read, PIECE_BYTES):
            yield piece


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError:
        raise InvalidRequest(f"{file} is no text in UTF-8.") from None


def _described(file: dict[str, Any]) -> str:
    facts = file["facts"]
    base = f"trained on {facts['base_family']}" if facts["base_family"] else "trained on a base it does not name"
    return f"{facts['network']} of dim {_cell(facts['dim'])}, alpha {_cell(facts['alpha'])}, {base}"


def _moved(move: dict[str, Any]) -> str:
    return f"v{move['to']} is live" + (f", v{move['before']} was" if move["before"] else "")


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return "–" if value is None else str(value)


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
