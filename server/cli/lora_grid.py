"""`vestige lora grid`: a contact sheet of a version, or of two side by side."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from server.cli.lora import Name, Version, number
from server.cli.options import ConfigFile, Data, load_for
from server.cli.running import with_server
from server.errors import RenderError

if TYPE_CHECKING:
    from server.cli.admin import AdminApi

LOOK_SECONDS = 1.0
SHEET_SECONDS = 120.0


def grid(
    context: typer.Context,
    name: Name,
    version: Version,
    against: Annotated[str | None, typer.Option(metavar="VERSION", help="Hold it against this version.")] = None,
    character: Annotated[
        str | None, typer.Option(metavar="ID", help="In whose look; a character that wears the LoRA if not given.")
    ] = None,
    prompt: Annotated[list[str] | None, typer.Option(help="A prompt in place of the standard ones; again.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="A seed in place of the standard ones; again.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Where the sheet is saved.")] = None,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Render fixed prompts by fixed seeds and save the contact sheet. Ctrl-C leaves it to the queue; ask again."""
    draft = {
        "against": number(against) if against else None,
        "character_id": character,
        "prompts": prompt or [],
        "seeds": seed or [],
    }
    place = f"/v1/admin/loras/{name}/versions/{number(version)}/grids"
    target = out or Path(f"{name}-v{number(version)}{f'-v{number(against)}' if against else ''}.png")

    async def render(api: "AdminApi") -> Any:
        state = await api.call("POST", place, draft, seconds=SHEET_SECONDS)
        told = -1
        while not state["finished"]:
            if state["ready"] != told:
                told = state["ready"]
                print(f"{told} of {state['total']} pictures", flush=True)
            await asyncio.sleep(LOOK_SECONDS)
            state = await api.call("GET", f"{place}/{state['id']}")
        if state["ready"]:
            await asyncio.to_thread(target.write_bytes, await api.fetch(state["sheet"], seconds=SHEET_SECONDS))
        return state

    state = with_server(load_for(context, config, data).settings, render)
    missing = state["total"] - state["ready"]
    if state["ready"]:
        print(f"{target}: {state['ready']} pictures of {name} in the look of {state['character_id']} ({state['id']}).")
    if missing:
        raise RenderError(f"{missing} pictures are missing. " + " ".join(state["problems"]))
