"""What a preset is called: a slug, and `slug@version` for one version of it. Never a path."""

from __future__ import annotations

import re

from .errors import PresetNameError

__all__ = ["LATEST", "SHIPPED_PREFIX", "check_name", "check_origin", "check_own_name", "parse_spec"]

LATEST = "latest"
SHIPPED_PREFIX = "starter-"

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?", re.ASCII)
_VERSION = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))})


def check_name(name: str) -> str:
    """`name`, where it can be a preset's.

    Raises:
        PresetNameError: it is no slug, or Windows would open a device instead of a folder.
    """
    if not isinstance(name, str) or _SLUG.fullmatch(name) is None or name in _DEVICES:
        raise PresetNameError(
            f"{_shown(name)} cannot be a preset's name: use 1 to 64 of a–z, 0–9 and '-', like 'halina-red-dress'."
        )
    return name


def check_own_name(name: str) -> str:
    """`name`, where a person may save under it.

    Raises:
        PresetNameError: as `check_name`, or the name is kept for the presets that come with the pack.
    """
    if check_name(name).startswith(SHIPPED_PREFIX):
        raise PresetNameError(
            f"Names that begin with '{SHIPPED_PREFIX}' are kept for the presets that come with the pack: "
            f"save as '{name.removeprefix(SHIPPED_PREFIX) or 'mine'}'; what it began from is recorded."
        )
    return name


def parse_spec(spec: str) -> tuple[str, int | None]:
    """`name@3` as `("name", 3)`; `name@latest` and `name` as `("name", None)`.

    Raises:
        PresetNameError: it is neither.
    """
    name, _, version = str(spec).strip().partition("@")
    check_name(name)
    if version in ("", LATEST):
        return name, None
    number = version.removeprefix("v")
    if _VERSION.fullmatch(number) is None:
        raise PresetNameError(f"{_shown(version)} is no version of '{name}': write '{name}@3' or '{name}@{LATEST}'.")
    return name, int(number)


def check_origin(origin: str) -> str:
    """`origin`, where it is exactly `name@version`.

    Raises:
        PresetNameError: it is not.
    """
    name, version = parse_spec(origin)
    if version is None or origin != f"{name}@{version}":
        raise PresetNameError(f"{_shown(origin)} names no version: write 'name@3'.")
    return origin


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…'"
