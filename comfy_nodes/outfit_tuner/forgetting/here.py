"""What the ComfyUI that the pack runs in is to forget."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ..models_here import features_here
from ..references.here import references_here
from ..submissions import ComfyQueue
from ..submissions.here import submissions_here
from .forgetter import Folders, Forgetter

__all__ = ["forgetter_here"]


@cache
def forgetter_here() -> Forgetter:
    """Over ComfyUI's own folders, queue and history, and the pack's caches."""
    import folder_paths

    folders = Folders(
        Path(folder_paths.get_input_directory()) / "vestige",
        Path(folder_paths.get_output_directory()) / "vestige",
        Path(folder_paths.get_temp_directory()),
    )
    return Forgetter(folders, ComfyQueue(), submissions_here(), references_here(), features_here(), _drop_key_values)


def _drop_key_values() -> None:
    from ..apply import forget_key_values

    forget_key_values()
