"""The contact sheet of a sweep: every picture under its values, readable at a glance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from .axes import Axis
from .grid import Grid

__all__ = ["LONGEST_SIDE", "contact_sheet"]

LONGEST_SIDE = 4096
"""Pixels: 200 MB as a tensor. Where the pictures need more, all of them are shrunk alike."""

_PAPER, _INK, _FAINT, _MARK = (250, 250, 248), (28, 28, 30), (110, 110, 116), (214, 93, 14)

_BETWEEN = " · "
_SMALLEST_GAP, _SMALLEST_TEXT = 5, 8
_SIDES_OF_TEXT = 9  # a letter's height in a picture's side


@dataclass(frozen=True)
class _Plan:
    """Where everything is, in pixels."""

    cell: tuple[int, int]
    gap: int
    text: int
    title: tuple[str, ...]
    left: int
    top: int

    def at(self, row: int, column: int) -> tuple[int, int]:
        width, height = self.cell
        return self.left + column * (width + self.gap), self.top + row * (height + self.gap)

    def size(self, grid: Grid) -> tuple[int, int]:
        return self.at(grid.rows, grid.columns)


def contact_sheet(pictures: Sequence[Image.Image], grid: Grid, title: str, most_side: int = 512) -> Image.Image:
    """One picture that shows `pictures`, in the order of `grid.cells`, with both axes' names and values.

    Each is shrunk to at most `most_side` pixels, never enlarged. The cell that the sweep began from has a frame.

    Raises:
        ValueError: there is not one picture per cell.
    """
    if len(pictures) != len(grid.cells):
        raise ValueError(f"{len(pictures)} pictures for {len(grid.cells)} cells")
    plan = _plan(pictures, grid, title, most_side)
    sheet = Image.new("RGB", plan.size(grid), _PAPER)
    draw = ImageDraw.Draw(sheet)
    _labels(draw, plan, grid)
    for picture, cell in zip(pictures, grid.cells, strict=True):
        corner = plan.at(cell.row, cell.column)
        small = picture.convert("RGB")
        small.thumbnail(plan.cell, Image.Resampling.LANCZOS)
        sheet.paste(small, corner)
        if grid.is_base(cell):
            box = (*corner, corner[0] + small.width - 1, corner[1] + small.height - 1)
            draw.rectangle(box, outline=_MARK, width=max(3, plan.gap // 2))
    return sheet


def _plan(pictures: Sequence[Image.Image], grid: Grid, line: str, most_side: int) -> _Plan:
    widest, highest = max(p.width for p in pictures), max(p.height for p in pictures)
    scale = min(1.0, most_side / max(widest, highest))
    for count, side in ((grid.columns, widest), (grid.rows, highest)):
        room = LONGEST_SIDE * 0.85 - count * _SMALLEST_GAP  # labels take the rest
        scale = min(scale, room / count / (1 + 1 / _SIDES_OF_TEXT) / side)
    cell = max(1, round(widest * scale)), max(1, round(highest * scale))
    text = max(11, min(28, min(cell) // _SIDES_OF_TEXT))
    while text > _SMALLEST_TEXT and _broadest(grid.x, text) > cell[0]:
        text -= 1
    gap = max(_SMALLEST_GAP, text // 2)
    below = 0 if grid.y is None else max(_broadest(grid.y, text), _width(grid.y.name, text))
    left = gap + (below + gap if below else 0)
    title = _wrapped(line, text, left + grid.columns * (cell[0] + gap) - 2 * gap)
    return _Plan(cell, gap, text, title, left, top=gap + (len(title) + 2) * _line(text))


def _labels(draw: ImageDraw.ImageDraw, plan: _Plan, grid: Grid) -> None:
    line = _line(plan.text)
    for row, part in enumerate(plan.title):
        draw.text((plan.gap, plan.gap + row * line), part, _FAINT, _font(plan.text))
    draw.text((plan.left, plan.gap + len(plan.title) * line), grid.x.name, _FAINT, _font(plan.text))
    for column, value in _spaced(grid.x, _broadest(grid.x, plan.text) + plan.gap, plan.cell[0] + plan.gap):
        x, _ = plan.at(0, column)
        middle = x + plan.cell[0] // 2
        draw.text((middle, plan.top - plan.gap), grid.x.label(value), _INK, _font(plan.text), anchor="ms")
    if grid.y is None:
        return
    draw.text((plan.gap, plan.top - plan.gap), grid.y.name, _FAINT, _font(plan.text), anchor="ls")
    for row, value in _spaced(grid.y, line, plan.cell[1] + plan.gap):
        _, y = plan.at(row, 0)
        middle = y + plan.cell[1] // 2
        draw.text((plan.left - plan.gap, middle), grid.y.label(value), _INK, _font(plan.text), anchor="rm")


def _spaced(axis: Axis, label: int, room: int) -> Iterator[tuple[int, float | str]]:
    """The values that are labelled: all, or every so many where the pictures are smaller than their labels."""
    every = -(-label // room) if label - 2 * _SMALLEST_GAP > room else 1
    return ((index, value) for index, value in enumerate(axis.values) if index % every == 0)


def _wrapped(title: str, size: int, width: int) -> tuple[str, ...]:
    """`title` in lines, broken between its parts."""
    first, *parts = title.split(_BETWEEN)
    lines = [first]
    for part in parts:
        joined = f"{lines[-1]}{_BETWEEN}{part}"
        if _width(joined, size) <= width:
            lines[-1] = joined
        else:
            lines.append(part)
    return tuple(lines)


def _line(text: int) -> int:
    """The height of a line of text."""
    return round(text * 1.5)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _width(text: str, size: int) -> int:
    return round(_font(size).getlength(text))


def _broadest(axis: Axis, size: int) -> int:
    return max(_width(axis.label(value), size) for value in axis.values)
