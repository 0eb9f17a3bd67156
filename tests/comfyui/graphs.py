"""Graphs in the API's format, written as they are wired.

graph = Graph()
checkpoint = graph.add("CheckpointLoaderSimple", ckpt_name="tiny-sdxl.safetensors")
graph.picture(checkpoint[0], checkpoint[1], checkpoint[2])
run = await comfy.run(graph)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Link = list[Any]


@dataclass(frozen=True)
class Node:
    """A node that was added; `node[1]` is the link from its second output, and `node` alone that from its first."""

    id: str

    def __getitem__(self, output: int) -> Link:
        return [self.id, output]


@dataclass
class Graph:
    """`nodes` is what `/prompt` takes."""

    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, class_type: str, node_id: str | None = None, /, **inputs: Any) -> Node:
        """Adds a node, `node_id` "1", "2", … where none is given. Inputs are values, links, or nodes."""
        name = node_id or str(len(self.nodes) + 1)
        assert name not in self.nodes, f"two nodes are called {name}"
        wired = {key: value[0] if isinstance(value, Node) else value for key, value in inputs.items()}
        self.nodes[name] = {"class_type": class_type, "inputs": wired}
        return Node(name)

    def set(self, node: Node, **inputs: Any) -> None:
        """Changes widgets or links of a node."""
        self.nodes[node.id]["inputs"] |= inputs

    def find(self, class_type: str) -> Node:
        """The only node of this class."""
        [name] = [name for name, node in self.nodes.items() if node["class_type"] == class_type]
        return Node(name)

    def checkpoint(self, name: str = "tiny-sdxl") -> Node:
        """Outputs MODEL, CLIP, VAE of a tiny checkpoint: `tiny-sdxl` or `tiny-sd15`."""
        return self.add("CheckpointLoaderSimple", ckpt_name=f"{name}.safetensors")

    def picture(
        self, model: Any, clip: Any, vae: Any, *, seed: int = 0, steps: int = 2, cfg: float = 5.0, side: int = 64
    ) -> Node:
        """Everything from the prompts to a preview of the picture; returns the preview's node."""
        sampled = self.add(
            "KSampler",
            model=model,
            positive=self.add("CLIPTextEncode", clip=clip, text="a woman in a green coat"),
            negative=self.add("CLIPTextEncode", clip=clip, text="blurred"),
            latent_image=self.add("EmptyLatentImage", width=side, height=side, batch_size=1),
            seed=seed,
            steps=steps,
            cfg=cfg,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
        )
        return self.add("PreviewImage", images=self.add("VAEDecode", samples=sampled, vae=vae))
