"""Where the pack keeps things inside ComfyUI's own folders."""

from __future__ import annotations

from pathlib import Path

import folder_paths

__all__ = ["private_folder"]


def private_folder(name: str) -> Path:
    """A folder that ComfyUI serves to nobody; it may not exist yet.

    Everything below `user/default` can be read and written by whoever reaches ComfyUI (`/userdata`). Names that begin
    with two underscores are kept from its routes.
    """
    return Path(folder_paths.get_user_directory()) / "__vestige" / name
