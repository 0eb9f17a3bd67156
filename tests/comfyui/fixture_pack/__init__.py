"""A node pack for the tests alone: small models of every kind, and nodes to look inside a graph with.

Lies in custom_nodes of the ComfyUI that the tests start (`tests/comfyui/comfyui.py`). On import it teaches ComfyUI the
tiny architectures and, where they are missing, writes checkpoints and LoRAs of them into the models folders.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from comfy_api.latest import ComfyExtension


async def comfy_entrypoint() -> ComfyExtension:
    from . import encoders, files, models, nodes

    models.register()
    encoders.teach_the_loader()
    files.write_missing()
    return nodes.FixtureExtension()
