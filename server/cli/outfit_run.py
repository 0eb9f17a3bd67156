"""What `vestige outfit` does: pictures from a ComfyUI, with no server of ours."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from yarl import URL

from server.catalog.pictures import kind
from server.errors import InvalidRequest, VestigeError
from server.render.advice import advice, sweep_advice
from server.render.host import MAX_PICTURE, ComfyHost
from server.render.outfit import TUNING, Outfit, fill, template_for
from server.render.run import run
from server.render.sheet import contact_sheet
from server.render.sweep import Axis, around, tuning_of
from server.render.templates import Template
from server.render.types import Progress as Share

__all__ = ["OutfitRun", "outfit"]

_out = Console(stderr=True, highlight=False)


class OutfitRun:
    """One ComfyUI, one reference and one template, for one picture or a grid of them."""

    def __init__(
        self, host: ComfyHost, nodes: Mapping[str, Any], template: Template, outfit: Outfit, out: Path
    ) -> None:
        self._host = host
        self._nodes = nodes
        self._template = template
        self._outfit = outfit
        self._out = out

    async def picture(self, tuning: Mapping[str, Any], name: str, bar: "Bar", about: str) -> Path:
        """Renders and saves one picture, with `tuning` in place of what was asked for, where there is any."""
        outfit = replace(self._outfit, tuning=tuning, preset=None) if tuning else self._outfit
        graph = fill(self._template, outfit, self._nodes)
        with bar.one(about) as told:
            rendered = await run(self._host, graph, on_progress=told)
        if not rendered.pictures:
            raise VestigeError("The host rendered nothing: look at its log.")
        data = await self._host.fetch(rendered.pictures[0])
        path = self._out / f"{name}.{kind(data)}"
        _write(path, data)
        return path

    async def base(self) -> Mapping[str, Any]:
        """The values a sweep starts from: the preset's, or those given."""
        if self._outfit.preset is None:
            return {**TUNING, **self._outfit.tuning}
        return tuning_of(await self._host.preset(self._outfit.preset))

    async def grid(self, base: Mapping[str, Any], rows: Axis, columns: Axis, title: str, bar: "Bar") -> Path:
        """Renders every pair of values and writes a contact sheet; of what came before it was stopped, too."""
        cells: dict[tuple[int, int], bytes] = {}
        sheet = self._out / f"{title}-sheet.png"
        try:
            for at, row in enumerate(rows.values):
                for across, column in enumerate(columns.values):
                    tuning = {**base, rows.name: row, columns.name: column}
                    about = f"{rows.name} {row:.2f}  {columns.name} {column:.2f}"
                    name = f"{title}-{rows.name}-{row:.2f}-{columns.name}-{column:.2f}"
                    path = await self.picture(tuning, name, bar, about)
                    cells[at, across] = path.read_bytes()
        finally:
            if cells:
                heading = f"{rows.name} down, {columns.name} across, seed {self._outfit.seed}"
                _write(sheet, contact_sheet(cells, rows.labels(), columns.labels(), heading))
        return sheet


async def outfit(
    comfy: str, token: str | None, asked: Outfit, reference: Path, out: Path, axes: Sequence[Axis] | None
) -> None:
    """One picture, or with `axes` a grid of them: weight × end_at, where none are given.

    Raises:
        VestigeError: one line that says what is wrong. What was rendered before is kept, and is on the sheet.
    """
    async with aiohttp.ClientSession(trust_env=False) as session:
        opened = await _open(session, comfy, token, asked, reference, out)
        if axes is None:
            with Bar() as bar:
                path = await opened.picture({}, _title(asked), bar, "rendering")
            lines = advice(asked)
        else:
            base = await opened.base()
            rows, columns = _two(axes, base)
            with Bar(len(rows.values) * len(columns.values)) as bar:
                path = await opened.grid(base, rows, columns, _title(asked), bar)
            lines = sweep_advice(rows, columns)
    print(path)
    for line in (f"seed {asked.seed}", *lines):
        _out.print(line, style="dim", markup=False)


def _two(axes: Sequence[Axis], base: Mapping[str, Any]) -> tuple[Axis, Axis]:
    """The axes of a sheet; a missing one walks around what the values are."""
    names = [axis.name for axis in axes]
    missing = [around(name, float(base[name])) for name in ("weight", "end_at") if name not in names]
    rows, columns = [*axes, *missing][:2]
    return rows, columns


async def _open(
    session: aiohttp.ClientSession, comfy: str, token: str | None, outfit: Outfit, reference: Path, out: Path
) -> OutfitRun:
    data, suffix = _picture(reference)
    _prepare(out)
    host = ComfyHost(session, _address(comfy), token=token)
    nodes = await host.nodes()
    template = template_for(nodes, str(host))
    outfit = replace(outfit, reference=await host.upload(data, suffix))
    fill(template, outfit, nodes)  # says what is missing before the first picture
    return OutfitRun(host, nodes, template, outfit, out)


def _address(comfy: str) -> URL:
    try:
        url = URL(comfy if "://" in comfy else f"http://{comfy}")
    except ValueError:
        url = URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise InvalidRequest(f"{comfy!r} is no address of a ComfyUI: give one such as http://127.0.0.1:8188.")
    return url


def _picture(path: Path) -> tuple[bytes, str]:
    """The reference's bytes and what kind of picture they are."""
    try:
        size = path.stat().st_size
        if size > MAX_PICTURE:
            raise InvalidRequest(f"{path} has {size >> 20} MB: {MAX_PICTURE >> 20} MB are allowed.")
        data = path.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}.") from None
    try:
        return data, kind(data)
    except InvalidRequest as error:
        raise InvalidRequest(f"{path}: {error.message}") from None


def _prepare(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidRequest(f"{out} cannot be made: {error.strerror}. Name another folder with --out.") from None


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all."""
    part = path.with_suffix(f"{path.suffix}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise VestigeError(f"{path} cannot be written: {error.strerror}.") from None


def _title(outfit: Outfit) -> str:
    who = (outfit.lora or "nobody").partition("@")[0]
    safe = "".join(letter if letter.isalnum() else "-" for letter in who.replace("\\", "/").rpartition("/")[2])
    return f"{safe}-{outfit.seed}-{secrets.token_hex(2)}"


class Bar:
    """A progress bar on standard error; nothing where nobody looks on."""

    def __init__(self, pictures: int = 1) -> None:
        self._pictures = pictures
        self._done = 0
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=_out,
            disable=not _out.is_terminal,
        )
        self._task = self._bar.add_task("connecting", total=float(pictures))

    def __enter__(self) -> "Bar":
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    @contextmanager
    def one(self, about: str) -> Iterator[Any]:
        """Progress of one picture of them."""

        def told(share: Share) -> None:
            waiting = f" ({share.waiting} before it)" if share.waiting else ""
            doing = share.node or about
            count = f"{self._done + 1}/{self._pictures} {about}: " if self._pictures > 1 else ""
            self._bar.update(self._task, completed=self._done + share.share, description=f"{count}{doing}{waiting}")

        yield told
        self._done += 1
        self._bar.update(self._task, completed=float(self._done))
