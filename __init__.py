"""A clone of this repository in `ComfyUI/custom_nodes` is a node pack: hand on its entry point, nothing else."""

from .comfy_nodes import comfy_entrypoint

__all__ = ["comfy_entrypoint"]
