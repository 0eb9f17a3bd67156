"""The presets of the ComfyUI that the pack runs in."""

from __future__ import annotations

from pathlib import Path

from .store import PresetStore

__all__ = ["presets_here"]


def presets_here() -> PresetStore:
    """The store in ComfyUI's user folder, `user/default/vestige/presets`."""
    import folder_paths

    return PresetStore(Path(folder_paths.get_user_directory()) / "default" / "vestige" / "presets")
