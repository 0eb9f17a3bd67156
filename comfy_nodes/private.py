"""Where the pack keeps what is nobody's to read over HTTP."""

from __future__ import annotations

from pathlib import Path

__all__ = ["private_folder"]


def private_folder(name: str) -> Path:
    """A folder of the pack's inside ComfyUI's user folder; it may not exist yet.

    Whoever reaches ComfyUI can read and write everything below `user/default` (its `/userdata` routes). What begins
    with two underscores is kept from them.
    """
    import folder_paths

    return Path(folder_paths.get_user_directory()) / "__vestige" / name
