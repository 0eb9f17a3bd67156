"""The memory nodes, one file each. Imported only inside ComfyUI."""

from __future__ import annotations

from comfy_api.latest import io

from .character import Character
from .recall_memory import RecallMemory
from .remember_picture import RememberPicture
from .scene_from_memory import SceneFromMemory
from .worn_outfit import WornOutfit

__all__ = ["NODES"]

NODES: tuple[type[io.ComfyNode], ...] = (Character, RecallMemory, RememberPicture, SceneFromMemory, WornOutfit)
