"""The list of the pack's nodes. Imported only inside ComfyUI."""

from comfy_api.latest import ComfyExtension, io

from .companion_memory.nodes import NODES as MEMORY_NODES
from .outfit_tuner.nodes import NODES as OUTFIT_NODES


class VestigeExtension(ComfyExtension):
    """Outfit and memory nodes, ids `Vestige_*`."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [*OUTFIT_NODES, *MEMORY_NODES]
