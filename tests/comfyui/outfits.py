"""Graphs of the outfit nodes, as far as several tests wire the same."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from tests.comfyui.graphs import Graph, Node

VALUES: dict[str, Any] = {
    "weight": 0.4, "start_at": 0.0, "end_at": 0.8, "lora_model": 0.8, "lora_clip": 0.8, "weight_type": "linear",
    "embeds_scaling": "V only", "combine": "concat", "behaviour": "ipadapter_plus", "layer_weights": "", "freeu": False,
    "freeu_b1": 1.3, "freeu_b2": 1.4, "freeu_s1": 0.9, "freeu_s2": 0.2,
}  # fmt: skip
SWEEP: dict[str, Any] = {
    "positive": "otis in a green coat", "negative": "blurred", "x_axis": "weight", "x_values": "0.3,0.5",
    "y_axis": "end_at", "y_values": "0.5,1", "most_pictures": 64, "seed": 3, "steps": 2, "cfg": 4.0,
    "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0, "version": "live", "other_lineage": False,
}  # fmt: skip


@dataclass
class Wardrobe:
    """A graph with everything that comes before the outfit: checkpoint, models, reference, features."""

    graph: Graph
    checkpoint: Node
    models: Node
    features: Node

    def values(self, **changed: Any) -> Node:
        return self.graph.add("Vestige_TuningValues", **VALUES | changed)

    def chain(self, tuning: Node, character: str = "otis", **more: Any) -> Node:
        return self.graph.add(
            "Vestige_OutfitChain",
            cold("chain"),
            model=self.checkpoint[0],
            clip=self.checkpoint[1],
            models=self.models,
            features=self.features,
            tuning=tuning,
            **{"character": character, "version": "live", "other_lineage": False} | more,
        )

    def sweep(self, tuning: Node, character: str = "otis", **more: Any) -> Node:
        latent = self.graph.add("EmptyLatentImage", width=64, height=64, batch_size=1)
        return self.graph.add(
            "Vestige_OutfitSweep",
            cold("sweep"),
            model=self.checkpoint[0],
            clip=self.checkpoint[1],
            vae=self.checkpoint[2],
            models=self.models,
            features=self.features,
            tuning=tuning,
            **SWEEP | {"character": character, "latent_image": latent} | more,
        )


def cold(name: str) -> str:
    """A node id that ComfyUI has nothing cached for; what a node expands into is cached by it."""
    return f"{name}-{uuid.uuid4().hex}"


def wardrobe(
    checkpoint: str = "tiny-sd15", adapter: str = "glove.safetensors", encoder: str = "lens-a.safetensors"
) -> Wardrobe:
    graph = Graph()
    loaded = graph.checkpoint(checkpoint)
    models = graph.add("Vestige_LoadOutfitModels", adapter=adapter, encoder=encoder)
    reference = graph.add("Vestige_LoadReference", picture="dress.png")
    features = graph.add("Vestige_EncodeReference", models=models, reference=reference, weight=1.0)
    return Wardrobe(graph, loaded, models, features)
