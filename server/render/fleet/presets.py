"""A preset that hosts have otherwise under the same name and version. A version never changes, so one of them is wrong.

Pictures do not depend on it: the values of a preset go with each render, as the fleet first learned of them. But who
tunes on such a host sees something else than the server makes.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from server.render.graphs.offer import Offer

__all__ = ["differing", "digests", "right_ones"]


def digests(presets: Iterable[object]) -> dict[str, str]:
    """`name@version` → sha256 of what makes a picture of each preset: its values and pins. What is none is left out."""
    found: dict[str, str] = {}
    for preset in presets:
        if isinstance(preset, Mapping) and isinstance(spec := preset.get("origin"), str):
            found[spec] = _digest(preset)
    return found


def right_ones(kept: Mapping[str, Mapping[str, Any]], offers: Iterable[Offer]) -> dict[str, str]:
    """`name@version` → the digest that counts: of what pictures were made with (`kept`), else of the first host's."""
    right = {spec: _digest(preset) for spec, preset in kept.items()}
    for offer in offers:
        for spec, digest in offer.presets.items():
            right.setdefault(spec, digest)
    return right


def differing(offer: Offer, right: Mapping[str, str]) -> list[str]:
    """The host's presets that are not what counts."""
    return sorted(spec for spec, digest in offer.presets.items() if right.get(spec, digest) != digest)


def _digest(preset: Mapping[str, Any]) -> str:
    said = {name: preset.get(name) for name in ("pins", "values")}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
