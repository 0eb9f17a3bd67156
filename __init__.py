"""A clone of this repository in `ComfyUI/custom_nodes` is a node pack: hand on its entry point, nothing else."""

if __package__:  # empty where pytest imports this file by itself, in a clone whose name is no Python name
    from .comfy_nodes import WEB_DIRECTORY as WEB_DIRECTORY
    from .comfy_nodes import comfy_entrypoint as comfy_entrypoint
