"""Tuning presets: named, versioned, immutable records of one outfit's numbers and the files they were found on.

    names ─▶ record ─▶ codec (+ migrations) ─▶ store (+ publish)      difference

A version is never changed: saving makes the next one, and going back makes a new one equal to an old one.
"""

from .codec import to_document
from .difference import Change, difference
from .errors import PresetDamaged, PresetError, PresetNameError, PresetNotFound, PresetNotSaved, PresetTooNew
from .names import LATEST, parse_spec
from .record import Preset
from .store import Damaged, Listing, PresetStore

__all__ = [
    "LATEST",
    "Change",
    "Damaged",
    "Listing",
    "Preset",
    "PresetDamaged",
    "PresetError",
    "PresetNameError",
    "PresetNotFound",
    "PresetNotSaved",
    "PresetStore",
    "PresetTooNew",
    "difference",
    "parse_spec",
    "to_document",
]
