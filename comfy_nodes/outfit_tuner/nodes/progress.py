"""Long reads on a node's progress bar; the Cancel button ends them."""

from __future__ import annotations

import comfy.utils

from ..file_hashes import Progress

__all__ = ["reading"]

_STEPS = 100


def reading() -> Progress:
    """A new progress bar for a file that is read from one end to the other."""
    bar = comfy.utils.ProgressBar(_STEPS)

    def progress(done: int, total: int) -> None:
        bar.update_absolute(_STEPS * done // max(total, 1), _STEPS)

    return progress
