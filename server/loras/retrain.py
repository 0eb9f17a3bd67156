"""Which LoRAs a change of their base concerns."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from server.errors import InvalidRequest
from server.loras.lineage import FAMILIES
from server.loras.records import LoraSummary

__all__ = ["Concerned", "concerned"]

_HASH = re.compile(r"[0-9a-f]{10,64}")
BY_SHAPE = "its shape"


@dataclass(frozen=True, slots=True)
class Concerned:
    """A live version that a new base leaves behind. `certain`: its header says so; else it may be, and `why` tells."""

    name: str
    version: int
    base_family: str | None
    base_sha256: str | None
    certain: bool
    why: str


def concerned(versions: Iterable[LoraSummary], base: str, *, new: str | None = None) -> Sequence[Concerned]:
    """The live versions that were trained on `base`, certain ones first.

    `base` is the base's sha256 or the beginning of it (ten characters or more), or a lineage such as `illustrious`.
    `new`: the sha256 of the file that takes its place; what was trained on that one is up to date.

    Raises:
        InvalidRequest: `base` is neither.
    """
    base, new = base.strip().lower(), (new or "").strip().lower() or None
    live = [version for version in versions if version.live]
    is_hash = _HASH.fullmatch(base) is not None
    if not is_hash and base not in {*FAMILIES, *(version.base_family for version in live)}:
        raise InvalidRequest(
            f"The base must be a sha256 (10 characters or more of it) or a lineage: {', '.join(FAMILIES)}.",
            field="base",
        )
    if new is not None and _HASH.fullmatch(new) is None:
        raise InvalidRequest("The new base must be a sha256, or ten characters or more of it.", field="new")
    found = [
        each
        for version in live
        if not (new and (version.base_sha256 or "").startswith(new))
        and (each := _by_hash(version, base) if is_hash else _by_family(version, base))
    ]
    return sorted(found, key=lambda each: (not each.certain, each.name))


def _by_hash(version: LoraSummary, base: str) -> Concerned | None:
    if version.base_sha256 is None:
        return _concerned(version, False, "Its header does not say which file it was trained on.")
    if version.base_sha256.startswith(base):
        return _concerned(version, True, "It was trained on this file.")
    return None


def _by_family(version: LoraSummary, base: str) -> Concerned | None:
    if version.base_family == base and version.evidence != BY_SHAPE:
        return _concerned(version, True, f"It was trained on this lineage: {version.evidence} says so.")
    shaped = "sdxl" if base in ("pony", "illustrious", "animagine") else base
    if version.base_family is None or (version.base_family == shaped and version.evidence == BY_SHAPE):
        return _concerned(version, False, "Its header does not name its base, and its shapes would fit.")
    return None


def _concerned(version: LoraSummary, certain: bool, why: str) -> Concerned:
    return Concerned(version.name, version.version, version.base_family, version.base_sha256, certain, why)
