"""`vestige outfit` and its options."""

import asyncio
import os
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from server.errors import InvalidRequest

if TYPE_CHECKING:
    from server.render.sweep import Axis

PACK_TOKEN = "VESTIGE_PACK_TOKEN"  # noqa: S105 - the variable's name


def outfit(
    reference: Annotated[Path, typer.Option(metavar="PICTURE", help="The item: a PNG, JPEG or WebP.")],
    checkpoint: Annotated[str, typer.Option(help="As the host lists it, or a part of its name.")],
    lora: Annotated[str | None, typer.Option(help="The character: NAME or NAME@VERSION; without it, nobody.")] = None,
    preset: Annotated[str | None, typer.Option(help="A tuning preset there, NAME@VERSION, not numbers.")] = None,
    weight: Annotated[
        float | None, typer.Option(min=-1, max=3, help="How strongly the item is worn; 0.4 to begin with.")
    ] = None,
    end_at: Annotated[
        float | None, typer.Option(min=0, max=1, help="When it is let go and the face comes back; 0.8 to begin with.")
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="Scene and composition.")] = None,
    negative: Annotated[str | None, typer.Option(help="What is not wanted.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="A random one where none is given; it is printed.")] = None,
    steps: Annotated[int, typer.Option(min=1, max=200, help="Sampling steps.")] = 28,
    cfg: Annotated[float, typer.Option(min=0, max=30, help="Classifier-free guidance.")] = 5.0,
    size: Annotated[str, typer.Option(metavar="WxH", help="Pixels, multiples of 8.")] = "832x1216",
    sampler: Annotated[str, typer.Option(help="As KSampler lists it.")] = "dpmpp_2m",
    scheduler: Annotated[str, typer.Option(help="As KSampler lists it.")] = "karras",
    adapter: Annotated[str | None, typer.Option(help="The IP-Adapter; what fits where none is given.")] = None,
    encoder: Annotated[str | None, typer.Option(help="The image encoder; what fits where none is given.")] = None,
    comfy: Annotated[
        str, typer.Option(metavar="URL", envvar="COMFYUI_URL", help="The ComfyUI that renders.")
    ] = "http://127.0.0.1:8188",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where pictures are saved.")] = Path("out"),
    sweep: Annotated[bool, typer.Option("--sweep", help="Walk a grid of values and write a contact sheet.")] = False,
    axis: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUES", help="With --sweep, at most twice: weight=0.3:0.6:0.05, end_at=0.7,0.8."),
    ] = None,
) -> None:
    """Render an item on a character, on a ComfyUI and with no server of ours running.

    The environment's VESTIGE_PACK_TOKEN opens the host's presets to a sweep.
    """
    from server.cli import outfit_run
    from server.render.outfit import Outfit

    if preset is not None and (weight is not None or end_at is not None):
        raise InvalidRequest("A preset has its own numbers: give --preset, or --weight and --end-at.")
    if axis and not sweep:
        raise InvalidRequest("An --axis is walked by a sweep: add --sweep.")
    width, height = _size(size)
    tuning = {name: value for name, value in (("weight", weight), ("end_at", end_at)) if value is not None}
    words = {name: value for name, value in (("prompt", prompt), ("negative", negative)) if value is not None}
    asked = Outfit(
        reference="",
        checkpoint=checkpoint,
        lora=lora,
        preset=preset,
        adapter=adapter,
        encoder=encoder,
        seed=secrets.randbelow(2**32) if seed is None else seed,
        steps=steps,
        cfg=cfg,
        sampler=sampler,
        scheduler=scheduler,
        width=width,
        height=height,
        tuning=tuning,
        **words,
    )
    axes = _axes(axis or []) if sweep else None
    asyncio.run(outfit_run.outfit(comfy, os.environ.get(PACK_TOKEN), asked, reference, out, axes))


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{2,5})\s*[x×]\s*(\d{2,5})", text.strip().lower())
    width, height = (int(match[1]), int(match[2])) if match else (0, 0)
    if not match or width % 8 or height % 8 or not 64 <= min(width, height) <= max(width, height) <= 4096:
        raise InvalidRequest(f"{text!r} is no size: write WIDTHxHEIGHT in pixels, multiples of 8 from 64 to 4096.")
    return width, height


def _axes(given: list[str]) -> "list[Axis]":
    from server.render.sweep import MOST_CELLS, parse_axis

    if len(given) > 2:
        raise InvalidRequest("A sheet has two sides: give at most two axes.")
    axes = [parse_axis(text) for text in given]
    if len(axes) == 2 and axes[0].name == axes[1].name:
        raise InvalidRequest(f"Both axes are {axes[0].name}: walk two different values.")
    cells = 1
    for one in axes:
        cells *= len(one.values)
    if cells > MOST_CELLS:
        raise InvalidRequest(f"That is {cells} pictures; {MOST_CELLS} are the most. Take larger steps.")
    return axes
