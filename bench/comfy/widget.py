"""One run of the node after a widget changed: seconds and peak memory. Inside ComfyUI."""

from __future__ import annotations

from typing import Any

import real_size
import references
from counting import Peak, seconds
from wearing import ours, theirs

WEIGHTS = (0.45, 0.5, 0.55)


def measure() -> dict[str, Any]:
    model, models, features = real_size.unet("meta"), real_size.outfit_models(), references.seen()
    weights, encoder, picture = real_size.their_weights(), real_size.encoder(), real_size.picture()
    first = seconds(lambda: ours(model, models, features))
    with Peak() as peak:
        mine = [seconds(lambda weight=weight: ours(model, models, features, weight=weight)) for weight in WEIGHTS]
    theirs(model.clone(), weights, encoder, picture)
    with Peak() as their_peak:
        others = [
            seconds(lambda weight=weight: theirs(model.clone(), weights, encoder, picture, weight=weight))
            for weight in WEIGHTS
        ]
    return {
        "first_apply_seconds": first,
        "widget_change_seconds": sorted(mine)[1],
        "widget_change_seconds_ipadapter_plus": sorted(others)[1],
        "widget_change_speedup": sorted(others)[1] / sorted(mine)[1],
        "widget_change_peak_mb": peak.bytes / 1e6,
        "widget_change_peak_mb_ipadapter_plus": their_peak.bytes / 1e6,
    }
