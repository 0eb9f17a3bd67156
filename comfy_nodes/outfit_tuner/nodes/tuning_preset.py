"""Tuning Preset: numbers that were saved, by name and version."""

from __future__ import annotations

from comfy_api.latest import io

from ..presets import LATEST, PresetError
from ..presets.codec import encode
from ..presets.here import presets_here
from ..sockets import TUNING
from ..tuning import ON_MISFIT, OnMisfit, Tuning
from .shown import shown_tuning

__all__ = ["TuningPreset"]

_FIRST = "starter-sdxl-realistic@1"


class TuningPreset(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Vestige_TuningPreset",
            display_name="Tuning Preset",
            category="Vestige/Outfit",
            description="The numbers of an outfit, saved before: one immutable version of a preset, or its latest.",
            inputs=[
                io.Combo.Input(
                    "preset",
                    options=_options(),
                    default=_FIRST,
                    tooltip="name@version is one version and never changes; name@latest follows what is saved. Those "
                    "that begin with starter- come with the pack and are starting points.",
                ),
                io.Combo.Input(
                    "on_misfit",
                    options=list(ON_MISFIT),
                    default="refuse",
                    tooltip="What happens where the checkpoint, the IP-Adapter or the image encoder is another than "
                    "the preset was tuned on: refuse before anything loads, or warn and go on.",
                ),
            ],
            outputs=[
                io.Custom(TUNING).Output(
                    "tuning", display_name="tuning", tooltip="The preset's values, its pins and its origin."
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, preset: str | None = None) -> bool | str:
        """Instead of the list in the editor, which a version saved a moment ago is not on yet."""
        if preset is None:  # comes along a link
            return True
        try:
            presets_here().load(preset)
        except PresetError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, preset: str | None = None, on_misfit: OnMisfit = "refuse") -> str:
        """What the name stands for now: a new version makes `latest` run again."""
        if preset is None:
            return ""
        try:
            return encode(presets_here().load(preset)).decode()
        except PresetError as error:
            return str(error)

    @classmethod
    def execute(cls, preset: str, on_misfit: OnMisfit) -> io.NodeOutput:
        loaded = presets_here().load(preset)
        tuning = Tuning(loaded.values, loaded.pins, loaded.origin, on_misfit)
        return io.NodeOutput(tuning, ui=shown_tuning(tuning, loaded.notes))


def _options() -> list[str]:
    """Names and versions as the folder has them; no file is opened, for the editor asks often."""
    store = presets_here()
    return [f"{name}@{version}" for name in store.names() for version in (LATEST, *store.versions(name))]
