"""Whether a preset's numbers were found on the files that are loaded."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from .lineage import FAMILIES, Lineage
from .tuning import Tuning

__all__ = ["Loaded", "Misfit", "PinsError", "check_pins", "misfits"]

_log = logging.getLogger(__name__)


class PinsError(ValueError):
    """A preset for other files than those that are loaded; the message says which."""


@dataclass(frozen=True)
class Loaded:
    """What is loaded, as far as it is known; None is not compared. Hashes are sha256 of the files."""

    lineage: Lineage | None = None
    base: str | None = None
    adapter: str | None = None
    encoder: str | None = None


@dataclass(frozen=True)
class Misfit:
    """`what` differs: the base family, the checkpoint, the IP-Adapter or the image encoder."""

    what: str
    pinned: str
    loaded: str

    def __str__(self) -> str:
        return f"{self.what} is {_short(self.loaded)} and the preset was tuned on {_short(self.pinned)}"


def misfits(tuning: Tuning, loaded: Loaded) -> tuple[Misfit, ...]:
    """Every pin that differs from what is loaded, the most telling first."""
    pins = tuning.pins
    found: list[Misfit] = []
    if pins.base_family is not None and loaded.lineage is not None:
        family = _other_family(pins.base_family, loaded.lineage)
        if family is not None:
            found.append(Misfit("the base family", _called(pins.base_family), _called(family)))
    for what, pinned, have in (
        ("the checkpoint", pins.base, loaded.base),
        ("the IP-Adapter", pins.adapter, loaded.adapter),
        ("the image encoder", pins.encoder, loaded.encoder),
    ):
        if pinned is not None and have is not None and pinned != have:
            found.append(Misfit(what, pinned, have))
    return tuple(found)


def check_pins(tuning: Tuning, loaded: Loaded) -> tuple[Misfit, ...]:
    """The misfits of a tuning that only warns; they go to the log too.

    Raises:
        PinsError: there are some, and the tuning refuses them.
    """
    found = misfits(tuning, loaded)
    if not found:
        return ()
    text = f"{tuning.origin or 'These values'} does not fit: {'; '.join(map(str, found))}."
    if tuning.on_misfit == "refuse":
        raise PinsError(
            f"{text} Load those files, choose another preset, or set on_misfit to warn and look at the picture twice."
        )
    _log.warning("%s", text)
    return found


def _other_family(pinned: str, lineage: Lineage) -> str | None:
    """The family of a checkpoint where it is another than the pinned one; None where nothing tells against it."""
    if lineage.family is not None:
        return lineage.family if lineage.family != pinned else None
    like = Lineage(family=pinned).architecture
    return lineage.architecture if lineage.architecture not in (None, like) else None


def _called(family: str) -> str:
    return FAMILIES.get(family, family)


def _short(value: str) -> str:
    """A hash by its first ten digits, as people know it from model pages."""
    return f"{value[:10]}…" if len(value) == 64 else value
