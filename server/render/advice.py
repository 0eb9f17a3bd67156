"""What to change next, one value at a time."""

from server.render.outfit import TUNING, Outfit
from server.render.sweep import Axis

__all__ = ["advice", "sweep_advice"]

STEP = 0.05
_ONE = "Change one value at a time, and keep the seed."


def advice(outfit: Outfit) -> list[str]:
    """After one picture, for the eyes of whoever made it."""
    if outfit.preset is not None:
        return [
            "The face drifted: lower weight or end_at by 0.05.",
            "The item is not recognisable: raise weight by 0.05.",
            _ONE,
        ]
    values = {**TUNING, **outfit.tuning}
    weight, end_at = float(values["weight"]), float(values["end_at"])
    less, shorter = weight - STEP, max(0.0, end_at - STEP)
    return [
        f"The face drifted: lower one of the two, --weight {less:.2f} or --end-at {shorter:.2f}.",
        f"The item is not recognisable: raise it, --weight {weight + STEP:.2f}.",
        _ONE,
    ]


def sweep_advice(rows: Axis, columns: Axis) -> list[str]:
    """After a sheet."""
    lines = ["Take the cell where face and item both hold, and go on from its values in steps of 0.05."]
    if (rows.name, columns.name) == ("weight", "end_at"):
        lines.append("The face drifts towards the bottom right; the item fades towards the top left.")
    return lines
