"""The node classes that the server ever sends to a host, and what their inputs are. Any other class is refused."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from server.errors import GraphRejected
from server.render.graphs.nodes import File, Folder, Graph, Node, Text

__all__ = ["ALLOWED", "NodeClass", "refuse_unknown"]


@dataclass(frozen=True, slots=True)
class NodeClass:
    """`files`: inputs that name a file, and of which folder. `texts`: inputs for a person's words. `names`: inputs
    that say how something is called and change nothing in the picture."""

    files: Mapping[str, Folder] = field(default_factory=dict)
    texts: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()


ALLOWED: Final[Mapping[str, NodeClass]] = MappingProxyType(
    {
        "CheckpointLoaderSimple": NodeClass({"ckpt_name": "checkpoints"}),
        "CLIPTextEncode": NodeClass(texts=frozenset({"text"})),
        "CLIPVisionLoader": NodeClass({"clip_name": "clip_vision"}),
        "EmptyLatentImage": NodeClass(),
        "FreeU_V2": NodeClass(),
        "IPAdapterAdvanced": NodeClass(),
        "IPAdapterModelLoader": NodeClass({"ipadapter_file": "ipadapter"}),
        "KSampler": NodeClass(),
        "LoadImage": NodeClass({"image": "references"}),
        "LoraLoader": NodeClass({"lora_name": "loras"}),
        "PrepImageForClipVision": NodeClass(),
        "SaveImage": NodeClass(names=frozenset({"filename_prefix"})),
        "VAEDecode": NodeClass(),
        "Vestige_EncodeReference": NodeClass(),
        "Vestige_LoadCharacterLora": NodeClass({"character": "characters"}, names=frozenset({"version"})),
        "Vestige_LoadOutfitModels": NodeClass({"adapter": "ipadapter", "encoder": "clip_vision"}),
        "Vestige_LoadReference": NodeClass({"picture": "references"}),
        "Vestige_OutfitChain": NodeClass({"character": "characters"}, names=frozenset({"version"})),
        "Vestige_TuningValues": NodeClass(),
    }
)
"""By class name. None of them runs code, reads a path of the caller's choosing or opens a connection."""


def refuse_unknown(graph: Graph) -> None:
    """Nothing where every node is of an allowed class and every file and word stands where such a thing belongs.

    Raises:
        GraphRejected: it is not so.
    """
    for node_id, node in graph.nodes.items():
        known = ALLOWED.get(node.kind)
        if known is None:
            raise GraphRejected(f"The server sends no node {node.kind!r} to a host: it is not on its list.")
        for name, value in node.inputs.items():
            _refuse_misplaced(node_id, node, known, name, value)


def _refuse_misplaced(node_id: str, node: Node, known: NodeClass, name: str, value: object) -> None:
    misplaced = (
        (isinstance(value, Text) and name not in known.texts)
        or (isinstance(value, File) and known.files.get(name) != value.folder)
        or (isinstance(value, str) and name in known.texts)
    )
    if misplaced:
        raise GraphRejected(f"{name} of {node_id} ({node.kind}) takes no {type(value).__name__.lower()}.")
