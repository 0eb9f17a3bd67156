"""Asking for grids, looking how far they are, and putting their pictures on one sheet.

A grid's pictures are previews of the character in its look, with other words, seeds and LoRA versions: they go through
the same queue, behind all people. Its record is in Redis (`vestige:grids:{tenant}:{lora}@{version}`, by id), its sheet
in the object store (`grids/{tenant}/{lora}/v{version}/{id}.png`), made when it is first looked at and all is there.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import cast

from redis.asyncio import Redis

from server.catalog.looks.looks import Looks
from server.catalog.looks.model import Look
from server.catalog.records import Viewer
from server.errors import Conflict, InvalidRequest, NotFound
from server.loras.records import LoraVersion
from server.loras.registry import Registry
from server.render.grids.model import (
    SEEDS,
    STANDARD,
    Cell,
    Grid,
    GridState,
    check_size,
    own_prompts,
)
from server.render.host import MAX_PICTURE
from server.render.previews import places
from server.render.previews.previews import Previews
from server.render.previews.subject import Subject
from server.render.previews.types import Person
from server.render.sheet import contact_sheet
from server.stores.errors import store_errors
from server.stores.objects import Objects

__all__ = ["Grids"]

_STORE = "memory"
_EVERYTHING = Viewer(None, admin=True)
_SHEET_BYTES = 256 << 20
_PAGE = 200


class Grids:
    """The grids of every tenant. Every method may raise `StoreUnavailable`."""

    def __init__(self, previews: Previews, looks: Looks, registry: Registry, objects: Objects, state: Redis) -> None:
        self._previews = previews
        self._looks = looks
        self._registry = registry
        self._objects = objects
        self._state = state

    async def ask(
        self,
        person: Person,
        lora: str,
        version: int,
        *,
        by: str,
        against: int | None = None,
        character: str | None = None,
        prompts: Sequence[str] = (),
        seeds: Sequence[int] = (),
    ) -> GridState:
        """Has a grid rendered; again, what is missing of it.

        Args:
            person: who pays.
            character: in whose look; one that wears this LoRA where None.
            prompts, seeds: the standard ones where there are none.

        Raises:
            NotFound: no such version or character.
            InvalidRequest: no look wears the LoRA; too many pictures, or none.
            Declined: the content policy will not have one of the prompts.
            GraphRejected, HostUnavailable, BudgetExceeded: see `Previews.ask`.
        """
        rows, columns = own_prompts(prompts) or STANDARD, tuple(seeds) or SEEDS
        numbers = [version] if against is None else [version, against]
        if len(set(numbers)) < len(numbers):
            raise InvalidRequest(f"v{version} cannot be held against itself.", field="against")
        check_size(rows, columns, numbers)
        records = [await self._registry.get(person.tenant, lora, number) for number in numbers]
        wearer = character or (await self._wearer(person.tenant, lora)).character
        pair = await self._previews.subjects.pair(person.tenant, wearer, None, _EVERYTHING)
        for text in prompts:
            await self._previews.judge(person, pair, text)
        subjects: list[Subject] = []
        cells: list[Cell] = []
        for record in records:
            dressed = replace(pair, lora=LoraVersion(lora, record.version, record.file.sha256))
            for row, prompt in enumerate(rows):
                for at, seed in enumerate(columns):
                    # the picture's seed is the look's and its variant's together
                    variant = (seed - pair.look.scene.seed) % 2**64
                    subject = await self._previews.subjects.subject(dressed, person, scene=prompt.text, variant=variant)
                    subjects.append(subject)
                    cells.append(Cell(version=record.version, row=row, seed=at, key=subject.key))
        grid = Grid.of(
            cells,
            lora=lora,
            version=version,
            against=against,
            character=wearer,
            prompts=rows,
            seeds=columns,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            by=by,
        )
        with store_errors(_STORE):
            await cast(
                "Awaitable[int]",
                self._state.hset(_key(person.tenant, lora, version), grid.id, grid.model_dump_json()),
            )
        for subject in subjects:
            await self._previews.ask_for(subject, person, "prerender")
        return await self._stand(person.tenant, grid)

    async def get(self, tenant: str, lora: str, version: int, id: str) -> GridState:
        """How far a grid is.

        Raises:
            NotFound: there is no such grid.
        """
        return await self._stand(tenant, await self._grid(tenant, lora, version, id))

    async def all(self, tenant: str, lora: str, version: int) -> Sequence[Grid]:
        """The grids of a version, newest first.

        Raises:
            NotFound: there is no such version.
        """
        await self._registry.get(tenant, lora, version)
        with store_errors(_STORE):
            found = await cast("Awaitable[list[str]]", self._state.hvals(_key(tenant, lora, version)))
        grids = [Grid.model_validate_json(each) for each in found]
        return sorted(grids, key=lambda grid: (grid.created, grid.id), reverse=True)

    async def sheet(self, tenant: str, lora: str, version: int, id: str) -> bytes:
        """The sheet as a PNG; once all of its pictures were there it is kept.

        Raises:
            NotFound: there is no such grid.
            Conflict: its pictures are still being made, or none could be.
        """
        grid = await self._grid(tenant, lora, version, id)
        try:
            return await self._objects.get(_sheet(tenant, grid), most=_SHEET_BYTES)
        except NotFound:
            pass
        state = await self._stand(tenant, grid)
        if not state.finished:
            raise Conflict(f"{state.running} of its {state.total} pictures are still to come: look again in a moment.")
        pictures = await self._pictures(tenant, grid)
        if not pictures:
            why = state.problems[0] if state.problems else "they were thrown away: ask for the grid again."
            raise Conflict(f"None of its pictures is there: {why}")
        columns = [f"v{number} · {seed}" for seed in grid.seeds for number in grid.versions]
        title = f"{grid.lora} " + " | ".join(f"v{number}" for number in grid.versions)
        made = await asyncio.to_thread(
            contact_sheet, pictures, [prompt.label for prompt in grid.prompts], columns, title
        )
        if len(pictures) == state.total:
            await self._objects.put(_sheet(tenant, grid), made)
        return made

    async def _wearer(self, tenant: str, lora: str) -> Look:
        """A look that wears the LoRA; that of the character with its name before others."""
        after, found = None, None
        while page := await self._looks.all(tenant, after=after, limit=_PAGE):
            for look in page:
                if look.lora_name == lora and (found is None or look.character == lora):
                    found = look
            after = page[-1].character
        if found is None:
            raise InvalidRequest(
                f"No character's look wears {lora}: give one this LoRA, or say in whose look to render.",
                field="character_id",
            )
        return found

    async def _grid(self, tenant: str, lora: str, version: int, id: str) -> Grid:
        await self._registry.get(tenant, lora, version)
        with store_errors(_STORE):
            found = await cast("Awaitable[str | None]", self._state.hget(_key(tenant, lora, version), id))
        if found is None:
            raise NotFound(f"There is no such grid of v{version} of {lora}.", field="grid")
        return Grid.model_validate_json(found)

    async def _stand(self, tenant: str, grid: Grid) -> GridState:
        if await self._objects.head(_sheet(tenant, grid)) is not None:
            return GridState(grid, len(grid.cells), 0, ())
        found = await self._previews.shelf.all(tenant, [cell.key for cell in grid.cells])
        states = [found[cell.key].state if cell.key in found else "none" for cell in grid.cells]
        failed = [preview.error for preview in found.values() if preview.state == "failed"]
        problems = tuple(dict.fromkeys(error.message for error in failed if error is not None))
        running = states.count("waiting") + states.count("running")
        return GridState(grid, states.count("ready"), running, problems)

    async def _pictures(self, tenant: str, grid: Grid) -> dict[tuple[int, int], bytes]:
        """Those that are there, by row and column of the sheet: each seed's versions beside each other."""
        ready = await self._previews.shelf.all(tenant, [cell.key for cell in grid.cells])
        found: dict[tuple[int, int], bytes] = {}
        for cell in grid.cells:
            if (preview := ready.get(cell.key)) is not None and preview.state == "ready":
                column = cell.seed * len(grid.versions) + grid.versions.index(cell.version)
                with suppress(NotFound):  # it was thrown away just now
                    found[cell.row, column] = await self._objects.get(places.picture(preview.folder), most=MAX_PICTURE)
        return found


def _key(tenant: str, lora: str, version: int) -> str:
    return f"vestige:grids:{tenant}:{lora}@{version}"


def _sheet(tenant: str, grid: Grid) -> str:
    return f"grids/{tenant}/{grid.lora}/v{grid.version}/{grid.id}.png"
