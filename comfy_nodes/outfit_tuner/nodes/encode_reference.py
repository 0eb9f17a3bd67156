"""Encode Reference: what the image encoder sees in a reference, kept so that it is looked at once."""

from __future__ import annotations

from comfy_api.latest import io

from ..features import encode, joined
from ..models_here import features_here
from ..sockets import FEATURES, OUTFIT_MODELS, REFERENCE, OutfitModels, Reference, ReferenceFeatures
from ..vision import ComfyEncoder

__all__ = ["EncodeReference"]


class EncodeReference(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Vestige_EncodeReference",
            display_name="Encode Reference",
            category="Vestige/Outfit",
            description="Looks at a reference with the image encoder. What it saw is kept in memory and on disk, so a "
            "picture that was seen before, today or last week, costs nothing.",
            inputs=[
                io.Custom(OUTFIT_MODELS).Input("models", tooltip="The encoder, from Load Outfit Models."),
                io.Custom(REFERENCE).Input("reference", tooltip="The item, from Load Reference."),
                io.Float.Input(
                    "weight",
                    default=1.0,
                    min=-1.0,
                    max=3.0,
                    step=0.05,
                    tooltip="How much this reference counts beside the others. Leave it at 1 for a single one: the "
                    "outfit's own weight is in the tuning.",
                ),
                io.Custom(FEATURES).Input(
                    "before",
                    optional=True,
                    tooltip="References that come before this one, from another Encode Reference: chain as many as "
                    "you need. How they are combined is in the tuning.",
                ),
            ],
            outputs=[io.Custom(FEATURES).Output("features", tooltip="All references so far, for Apply Outfit.")],
        )

    @classmethod
    def execute(
        cls, models: OutfitModels, reference: Reference, weight: float, before: ReferenceFeatures | None = None
    ) -> io.NodeOutput:
        encoder = ComfyEncoder(models.encoder, models.encoder_sha256)
        features = encode(encoder, features_here(), reference, weight)
        return io.NodeOutput(features if before is None else joined(before, features))
