"""Apply Outfit: the reference's item on whoever the model draws."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..apply import apply_outfit
from ..sockets import FEATURES, OUTFIT_MODELS, TUNING, OutfitModels, ReferenceFeatures
from ..tuning import Tuning
from .graph import missing
from .pinned import check_before_loading, check_loaded

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
                    lazy=True,
                    tooltip="The checkpoint with the character's LoRA, and FreeU where you use it.",
                ),
                io.Custom(OUTFIT_MODELS).Input("models", lazy=True, tooltip="The IP-Adapter, from Load Outfit Models."),
                io.Custom(FEATURES).Input("features", lazy=True, tooltip="The references, from Encode Reference."),
                io.Custom(TUNING).Input("tuning", tooltip="The numbers, from Tuning Preset or Tuning Values."),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    lazy=True,
                    tooltip="Where the item is seen: white yes, black no. Any size; it is fitted to the picture. One "
                    "mask for all pictures of a batch, or one for each.",
                ),
            ],
            outputs=[io.Model.Output("dressed", display_name="model", tooltip="The model that sees the item.")],
            hidden=[io.Hidden.dynprompt, io.Hidden.unique_id],
        )

    @classmethod
    def check_lazy_status(cls, tuning: Tuning | None = None, **given: Any) -> list[str]:
        """A preset's pins are compared with the files before any of them is loaded."""
        wanted = missing(given, "model", "models", "features", "mask")
        if wanted and tuning is not None:
            check_before_loading(cls.hidden, tuning)
        return wanted

    @classmethod
    def execute(
        cls, model: Any, models: OutfitModels, features: ReferenceFeatures, tuning: Tuning, mask: Any = None
    ) -> io.NodeOutput:
        check_loaded(cls.hidden, tuning, models)
        return io.NodeOutput(apply_outfit(model, models, features, tuning, mask))
