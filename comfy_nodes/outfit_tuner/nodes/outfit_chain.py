"""Outfit Chain: character LoRA → FreeU → IP-Adapter as one node."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io
from comfy_execution.graph_utils import GraphBuilder

from ..sockets import FEATURES, OUTFIT_MODELS, TUNING, OutfitModels
from ..tuning import Tuning
from .characters import character_inputs, character_state, check_character
from .graph import links, missing
from .pinned import check_before_loading, check_loaded
from .steps import add_freeu, add_lora, add_outfit

__all__ = ["OutfitChain"]


class OutfitChain(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Vestige_OutfitChain",
            display_name="Outfit Chain",
            category="Vestige/Outfit",
            description="The whole outfit in one node: character LoRA, then FreeU where the tuning has it on, then the "
            "IP-Adapter. Each is cached by itself: a changed weight leaves the LoRA as it is.",
            inputs=[
                io.Model.Input("model", lazy=True, tooltip="The checkpoint's model, without the character."),
                io.Clip.Input("clip", lazy=True, tooltip="The checkpoint's text encoder, without the character."),
                io.Custom(OUTFIT_MODELS).Input(
                    "models", lazy=True, tooltip="The IP-Adapter and its image encoder, from Load Outfit Models."
                ),
                io.Custom(FEATURES).Input(
                    "features", lazy=True, tooltip="What the encoder saw in the reference, from Encode Reference."
                ),
                io.Custom(TUNING).Input("tuning", tooltip="The numbers, from Tuning Preset or Tuning Values."),
                *character_inputs(),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    lazy=True,
                    tooltip="Where the reference is worn: white is there. Without one it is everywhere.",
                ),
            ],
            outputs=[
                io.Model.Output("dressed_model", display_name="model", tooltip="The model, dressed: to the sampler."),
                io.Clip.Output(
                    "character_clip", display_name="clip", tooltip="The text encoder with the LoRA: to the prompts."
                ),
            ],
            hidden=[io.Hidden.dynprompt, io.Hidden.unique_id],
            enable_expand=True,
        )

    @classmethod
    def validate_inputs(cls, character: str | None = None, version: str | None = None) -> bool | str:
        return check_character(character, version)

    @classmethod
    def fingerprint_inputs(cls, character: str | None = None, version: str | None = None, **_: Any) -> str:
        return character_state(character, version)

    @classmethod
    def check_lazy_status(cls, tuning: Tuning | None = None, **given: Any) -> list[str]:
        """The pins are compared with the files before any of them is loaded; after that only with what was chosen."""
        if tuning is None:
            return []
        if given.get("models") is None:
            check_before_loading(cls.hidden, tuning)
        return missing(given, "models")

    @classmethod
    def execute(
        cls, tuning: Tuning, models: OutfitModels, character: str, version: str, other_lineage: bool, **_: Any
    ) -> io.NodeOutput:
        check_loaded(cls.hidden, tuning, models)
        wired, graph = links(cls.hidden), GraphBuilder()
        model, clip = add_lora(graph, wired["model"], wired["clip"], character, version, other_lineage, tuning.values)
        model = add_freeu(graph, model, tuning.values)
        model = add_outfit(
            graph,
            "",
            model=model,
            models=wired["models"],
            features=wired["features"],
            tuning=wired["tuning"],
            mask=wired.get("mask"),
        )
        return io.NodeOutput(model, clip, expand=graph.finalize())
