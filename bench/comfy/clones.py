"""What the second and the tenth clone of a dressed model add to memory. Inside ComfyUI."""

from __future__ import annotations

import gc
from typing import Any

import real_size
import references
from counting import resident, seconds
from wearing import ours, theirs

COUNT = 10


def measure() -> dict[str, Any]:
    model, features = real_size.unet("meta"), references.seen()
    dressed = ours(model, real_size.outfit_models(), features)
    found = _cloned(dressed, "")
    theirs_dressed = theirs(model.clone(), real_size.their_weights(), real_size.encoder(), real_size.picture())
    return found | _cloned(theirs_dressed, "_ipadapter_plus", 2)


def _cloned(dressed: Any, end: str, count: int = COUNT) -> dict[str, float]:
    """Each clone is kept, as ComfyUI's cache keeps a node's output, and the next is made of it."""
    kept, added = [dressed], []
    for _ in range(count):
        gc.collect()
        before = resident()
        kept.append(kept[-1].clone())
        added.append((resident() - before) / 1e6)
    return {f"clone_{number}_mb{end}": added[number - 1] for number in (2, 10) if number <= count} | {
        f"clone_seconds{end}": seconds(lambda: dressed.clone())
    }
