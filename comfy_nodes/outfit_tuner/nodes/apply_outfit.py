"""Apply Outfit: the reference's item on whoever the model draws."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..apply import apply_outfit
from ..sockets import FEATURES, OUTFIT_MODELS, TUNING, OutfitModels, ReferenceFeatures
from ..tuning import Tuning

__all__ = ["ApplyOutfit"]


class ApplyOutfit(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Vestige_ApplyOutfit",
            display_name="Apply Outfit",
            category="Vestige/Outfit",
            description="Lets the model see the item on the reference while it draws, from start_at to end_at, so that "
            "the last steps give the character's face back. Goes last in the chain, just before the sampler.",
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="The checkpoint with the character's LoRA, and FreeU where you use it.",
                ),
                io.Custom(OUTFIT_MODELS).Input("models", tooltip="The IP-Adapter, from Load Outfit Models."),
                io.Custom(FEATURES).Input("features", tooltip="The references, from Encode Reference."),
                io.Custom(TUNING).Input("tuning", tooltip="The numbers, from Tuning Preset or Tuning Values."),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Where the item is seen: white yes, black no. Any size; it is fitted to the picture. One "
                    "mask for all pictures of a batch, or one for each.",
                ),
            ],
            outputs=[io.Model.Output("dressed", display_name="model", tooltip="The model that sees the item.")],
        )

    @classmethod
    def execute(
        cls, model: Any, models: OutfitModels, features: ReferenceFeatures, tuning: Tuning, mask: Any = None
    ) -> io.NodeOutput:
        return io.NodeOutput(apply_outfit(model, models, features, tuning, mask))
