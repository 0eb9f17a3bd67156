"""The node pack's entry point for ComfyUI (V3). Imports without ComfyUI: its API is touched only when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from comfy_api.latest import ComfyExtension

__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]

WEB_DIRECTORY = "./comfy_nodes/web"
"""Below the clone: the editor extension and the help pages, which ComfyUI serves."""


async def comfy_entrypoint() -> ComfyExtension:
    """The extension ComfyUI registers: every node of the pack. The pack's routes are there before the server starts."""
    from .extension import VestigeExtension
    from .outfit_tuner.routes import register

    register()
    return VestigeExtension()
