"""What a tuning shows of itself on its node."""

from __future__ import annotations

import dataclasses
from typing import Any

from ..tuning import Tuning

__all__ = ["shown_tuning"]


def shown_tuning(tuning: Tuning, notes: str = "") -> dict[str, list[dict[str, Any]]]:
    """For the editor extension (`web/tuning.js`): origin, values, pins and notes as plain data."""
    return {
        "vestige_tuning": [
            {
                "origin": tuning.origin,
                "values": dataclasses.asdict(tuning.values),
                "pins": dataclasses.asdict(tuning.pins),
                "notes": notes,
            }
        ]
    }
