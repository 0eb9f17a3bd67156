"""The submissions of the ComfyUI that the pack runs in."""

from __future__ import annotations

from functools import cache

from ...private import private_folder
from .ledger import Ledger
from .queue import ComfyQueue
from .service import Submissions

__all__ = ["submissions_here"]


@cache
def submissions_here() -> Submissions:
    """Filed in ComfyUI's user folder, `user/__vestige/submissions`."""
    return Submissions(Ledger(private_folder("submissions")), ComfyQueue())
