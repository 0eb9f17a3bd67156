"""Save Tuning Preset: the numbers that worked, as a new version with the files they were found on."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io, ui

from ..presets.here import presets_here
from ..sockets import OUTFIT_MODELS, TUNING, OutfitModels
from ..tuning import Pins, Tuning
from .graph import checkpoint_behind

__all__ = ["SaveTuningPreset"]


class SaveTuningPreset(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Vestige_SaveTuningPreset",
            display_name="Save Tuning Preset",
            category="Vestige/Outfit",
            description="Saves a tuning as a new version of a preset. Nothing is ever overwritten, and nothing is "
            "saved twice: where the newest version already says the same, it stays the newest.",
            inputs=[
                io.Custom(TUNING).Input(
                    "tuning", tooltip="The values to save. Where they came from becomes the parent."
                ),
                io.String.Input(
                    "name",
                    default="my-outfit",
                    tooltip="The preset's name: a–z, 0–9 and '-'. An existing name gets its next version.",
                ),
                io.String.Input(
                    "notes",
                    default="",
                    multiline=True,
                    tooltip="What you want to know about it in a year: the item, what was tried, what is still wrong.",
                ),
                io.Model.Input(
                    "model",
                    optional=True,
                    lazy=True,
                    tooltip="The model the values were found on, from anywhere in the chain. Its checkpoint's family "
                    "and sha256 are recorded where the graph tells which file it is.",
                ),
                io.Custom(OUTFIT_MODELS).Input(
                    "models",
                    optional=True,
                    tooltip="The IP-Adapter and image encoder the values were found on; their sha256 are recorded.",
                ),
            ],
            outputs=[
                io.String.Output(
                    "origin", display_name="name@version", tooltip="The version that now holds the values."
                )
            ],
            hidden=[io.Hidden.dynprompt, io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def check_lazy_status(cls, **_: Any) -> list[str]:
        """The model is never needed, only the way to its file."""
        return []

    @classmethod
    def execute(
        cls, tuning: Tuning, name: str, notes: str, model: Any = None, models: OutfitModels | None = None
    ) -> io.NodeOutput:
        checkpoint = checkpoint_behind(cls.hidden, hashed=True)
        pins = Pins(
            base_family=None if checkpoint is None else checkpoint.lineage.family or checkpoint.lineage.architecture,
            base=None if checkpoint is None else checkpoint.sha256,
            adapter=None if models is None else models.adapter.sha256,
            encoder=None if models is None else models.encoder_sha256,
        )
        saved = presets_here().save_changed(name, tuning.values, pins=pins, notes=notes, parent=tuning.origin)
        return io.NodeOutput(saved.origin, ui=ui.PreviewText(saved.origin))
