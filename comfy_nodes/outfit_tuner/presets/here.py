"""The presets of the ComfyUI that the pack runs in."""

from __future__ import annotations

from .store import PresetStore

__all__ = ["presets_here"]


def presets_here() -> PresetStore:
    """The store in ComfyUI's user folder, where ComfyUI's own routes neither read nor write."""
    from ...private import private_folder

    return PresetStore(private_folder("presets"))
