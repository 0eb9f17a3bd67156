"""A preset as JSON: strict, bounded and readable by a person."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, NoReturn

from ..tuning import FreeU, Pins, TuningError, TuningValues
from .errors import PresetDamaged, PresetNameError
from .migrations import FORMAT, migrate
from .names import check_name, check_origin
from .record import Preset

__all__ = ["MAX_BYTES", "MAX_NOTES", "decode", "encode", "now", "read_pins", "read_values", "to_document"]

MAX_BYTES = 64 * 1024
MAX_NOTES = 8 * 1024
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", re.ASCII)
_KEYS = frozenset({"format", "name", "version", "parent", "created", "notes", "pins", "values", "reasons"})
_VALUES = {field.name: field for field in dataclasses.fields(TuningValues)}
_TEXTS = frozenset({"weight_type", "embeds_scaling", "combine", "behaviour", "layer_weights"})
_PINS = tuple(field.name for field in dataclasses.fields(Pins))
_FREEU = tuple(field.name for field in dataclasses.fields(FreeU))


def now() -> str:
    """This moment as a preset writes it: `2026-11-27T18:05:09+00:00`."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def to_document(preset: Preset) -> dict[str, Any]:
    """`preset` as the JSON object of today's format."""
    return {
        "format": FORMAT,
        "name": preset.name,
        "version": preset.version,
        "parent": preset.parent,
        "created": preset.created,
        "notes": preset.notes,
        "pins": dataclasses.asdict(preset.pins),
        "values": dataclasses.asdict(preset.values),
        "reasons": dict(preset.reasons),
    }


def encode(preset: Preset) -> bytes:
    """`preset` as the bytes of its file: indented UTF-8 JSON that ends with a line break."""
    return json.dumps(to_document(preset), ensure_ascii=False, allow_nan=False, indent=2).encode() + b"\n"


def decode(data: bytes) -> Preset:
    """The preset in `data`.

    Raises:
        PresetTooNew: a later version of the pack wrote it.
        PresetDamaged: anything else that is no preset. The message says what, without a capital or a full stop.
    """
    document = migrate(_parse(data))
    if unknown := sorted(document.keys() - _KEYS):
        raise PresetDamaged(f"it has an entry {unknown[0]!r} that no preset has")
    try:
        return Preset(
            name=check_name(document.get("name", "")),
            version=_version(document.get("version")),
            values=read_values(document.get("values")),
            pins=read_pins(document.get("pins")),
            notes=_text("notes", document.get("notes", "")),
            parent=None if document.get("parent") is None else check_origin(document["parent"]),
            created=_moment(document.get("created")),
            reasons=_reasons(document.get("reasons", {})),
        )
    except (TuningError, PresetNameError) as error:
        raise PresetDamaged(str(error).rstrip(".")) from None


def _parse(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_BYTES:
        raise PresetDamaged(f"it is longer than {MAX_BYTES:,} bytes")
    try:
        document = json.loads(data.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
        json.dumps(document, ensure_ascii=False).encode()  # half a surrogate pair could not be written again
    except UnicodeError:
        raise PresetDamaged("it is not text in UTF-8") from None
    except json.JSONDecodeError as error:
        raise PresetDamaged(f"it is not valid JSON: line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise PresetDamaged("it is nested too deeply") from None
    except PresetDamaged:
        raise
    except ValueError:  # a whole number of thousands of digits
        raise PresetDamaged("it has a number that is too long") from None
    if not isinstance(document, dict):
        raise PresetDamaged("it is not a JSON object")
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise PresetDamaged("it has a key twice, so it is not clear which one counts")
    return result


def _no_constant(name: str) -> NoReturn:
    raise PresetDamaged(f"it has {name} where only a finite number may be")


def _version(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 999_999_999:
        raise PresetDamaged(f"its version is {value!r}, not a number from 1")
    return value


def _object(name: str, value: object, known: Mapping[str, Any] | tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise PresetDamaged(f"it has no {name}")
    if unknown := sorted(value.keys() - set(known)):
        raise PresetDamaged(f"{name} has an entry {unknown[0]!r} that this format does not know")
    if missing := sorted(set(known) - value.keys()):
        raise PresetDamaged(f"{name} has no {missing[0]!r}")
    return value


def read_values(value: object) -> TuningValues:
    """The `values` of a preset's JSON: every one of them, and no other.

    Raises:
        PresetDamaged, TuningError: they cannot be used.
    """
    entries = dict(_object("values", value, _VALUES))
    for name in _TEXTS:
        if not isinstance(entries[name], str):
            raise PresetDamaged(f"{name} is {entries[name]!r}, not text")
    if entries["freeu"] is not None:
        entries["freeu"] = FreeU(**_object("freeu", entries["freeu"], _FREEU))
    return TuningValues(**entries)


def read_pins(value: object) -> Pins:
    """The `pins` of a preset's JSON: every one of them, null where it was not recorded.

    Raises:
        PresetDamaged, PresetNameError: they cannot be used.
    """
    entries = _object("pins", value, _PINS)
    for name, entry in entries.items():
        if entry is None:
            continue
        if not isinstance(entry, str) or (name != "base_family" and _SHA256.fullmatch(entry) is None):
            raise PresetDamaged(f"the pin {name!r} is {entry!r}, not a sha256 in lower-case hex")
        if name == "base_family":
            check_name(entry)
    return Pins(**entries)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_NOTES:
        raise PresetDamaged(f"{name} is not text of at most {MAX_NOTES:,} characters")
    return value


def _moment(value: object) -> str:
    try:
        if isinstance(value, str) and _MOMENT.fullmatch(value) and datetime.fromisoformat(value):
            return value
    except ValueError:  # the 30th of February
        pass
    raise PresetDamaged("created is not a date and time with an offset")


def _reasons(value: object) -> Mapping[str, str]:
    if not isinstance(value, dict) or not all(isinstance(reason, str) for reason in value.values()):
        raise PresetDamaged("reasons is not an object of texts")
    if unknown := sorted(value.keys() - _VALUES.keys()):
        raise PresetDamaged(f"reasons has an entry {unknown[0]!r} that is no value")
    return value
