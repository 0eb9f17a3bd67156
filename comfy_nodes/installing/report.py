"""A survey as a person reads it."""

from __future__ import annotations

import sys
import time

from .download import address
from .known import RECOMMENDED
from .places import ComfyUI
from .survey import Found, Survey

__all__ = ["Bar", "say"]

_TITLES = {"ipadapter": "Adapters", "clip_vision": "Image encoders"}
_EVERY = 0.2
"""Seconds between two states of the bar."""


def say(comfyui: ComfyUI, found: Survey, lacking: list[str]) -> None:
    """Prints it to standard output."""
    print(f"ComfyUI: {comfyui.root}")
    for kind, title in _TITLES.items():
        print(f"\n{title} ({comfyui.own(kind)})")
        for row in (row for row in found.rows if row.kind == kind):
            print(_line(row))
    if found.note:
        print(f"\n{found.note}")
    if lacking:
        print(f"\nMissing Python packages: {', '.join(lacking)}. With ComfyUI's Python:")
        print("  python -m pip install -r requirements.txt")
    print(f"\n{_advice(comfyui, found)}")


def _line(row: Found) -> str:
    facts = [row.what, _size(row.bytes), f"sha256 {row.sha256[:12]}…" if row.sha256 else ""]
    text = f"  {row.status:<10} {row.name}  {', '.join(fact for fact in facts if fact)}"
    if row.fits:
        text += f"\n             fits {', '.join(row.fits)}"
    elif row.note:
        text += f"\n             {row.note}"
    if row.status == "missing" and row.source:
        text += f"\n             {row.source}"
    return text


def _advice(comfyui: ComfyUI, found: Survey) -> str:
    if found.ready:
        return "Ready: an adapter and an encoder are here that fit each other."
    needed = found.missing(RECOMMENDED)
    if not needed:
        return "Nothing here fits together yet: the lines above say why."
    files = "\n".join(f"  {address(file)}\n    → {file.folder}/{file.name}" for file in needed)
    return f'To begin, fetch with `python install.py --comfyui "{comfyui.root}" --download`, or by hand:\n{files}'


def _size(count: int | None) -> str:
    return f"{count / 1e6:,.0f} MB" if count is not None else ""


class Bar:
    """Progress on one line of standard error, where a person looks on."""

    def __init__(self) -> None:
        self._shown = 0.0

    def __call__(self, what: str, done: int, total: int | None) -> None:
        now, end = time.monotonic(), done == total
        if not sys.stderr.isatty() or (now - self._shown < _EVERY and not end):
            return
        self._shown = now
        share = f"{done / total:4.0%} of {total / 1e6:,.0f} MB" if total else f"{done / 1e6:,.0f} MB"
        print(f"\r{what}: {share}\033[K", end="\n" if end else "", file=sys.stderr, flush=True)
