"""Load Character LoRA: one version of a character on the model, checked against the checkpoint first."""

from __future__ import annotations

from typing import Any

import comfy.sd
from comfy_api.latest import io

from ..by_file import stamp
from ..lora_check import LORA_LINEAGES, describe_lineage, require_lineage
from ..lora_weights import LORA_WEIGHTS
from ..loras import LIVE, Character, LoraError, find_characters, resolve
from ..models_here import hashes_here, loras_here
from ..pushed_loras import mark_used
from ..unet_size import model_size
from .graph import checkpoint_file
from .progress import reading

__all__ = ["LoadCharacterLora"]


class LoadCharacterLora(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Vestige_LoadCharacterLora",
            display_name="Load Character LoRA",
            category="Vestige/Outfit",
            description="Puts a character's LoRA on the model. Versions are files such as halina_v3.safetensors; live "
            "is the one live.json names, or else the newest. A new version is picked up without a restart.",
            inputs=[
                io.Model.Input("model", tooltip="The checkpoint. The character goes on before FreeU and the outfit."),
                io.Combo.Input(
                    "character",
                    options=list(_characters()),
                    tooltip="Whose files lie in models/loras: <name>_v<N>.safetensors, or <name>/v<N>.safetensors.",
                ),
                io.String.Input(
                    "version",
                    default=LIVE,
                    tooltip="live, or a version's number: 3 or v3. A number never changes under you; live may.",
                ),
                io.Float.Input(
                    "strength_model",
                    default=0.8,
                    min=-10.0,
                    max=10.0,
                    step=0.05,
                    tooltip="How strongly the character changes the picture model.",
                ),
                io.Float.Input(
                    "strength_clip",
                    default=0.8,
                    min=-10.0,
                    max=10.0,
                    step=0.05,
                    tooltip="How strongly the character changes the text encoders.",
                ),
                io.Boolean.Input(
                    "other_lineage",
                    default=False,
                    tooltip="Off: a LoRA trained on another base (Pony, Illustrious, SDXL, …) is refused, because the "
                    "face would not be the one you know. On: it is used all the same, as far as its shapes fit.",
                ),
                io.Clip.Input("clip", optional=True, tooltip="The checkpoint's text encoders."),
            ],
            outputs=[
                io.Model.Output("character_model", display_name="model", tooltip="The model that knows the character."),
                io.Clip.Output("character_clip", display_name="clip", tooltip="The text encoders that know the name."),
                io.String.Output("loaded", tooltip="Which version it is and what it was trained on."),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.dynprompt],
        )

    @classmethod
    def validate_inputs(cls, character: str | None = None, version: str | None = None) -> bool | str:
        if character is not None and version is not None:
            try:
                resolve(_characters(), character, version)
            except LoraError as error:
                return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, character: str | None, version: str | None, **_: Any) -> str:
        """Another file, or the same one written anew, is another input."""
        characters = _characters()
        try:
            if character is not None and version is not None:
                return repr(stamp(resolve(characters, character, version)[1].path))
            return repr([stamp(file.path) for one in characters.values() for file in one.versions.values()])
        except (LoraError, OSError) as error:
            return str(error)

    @classmethod
    def execute(
        cls,
        model: Any,
        character: str,
        version: str,
        strength_model: float,
        strength_clip: float,
        other_lineage: bool,
        clip: Any = None,
    ) -> io.NodeOutput:
        number, file = resolve(_characters(), character, version)
        mark_used(file.path)
        if other_lineage:
            lineage = LORA_LINEAGES(file.path)
        else:
            unet = model_size(model.get_model_object("diffusion_model"))
            lineage = require_lineage(file.name, file.path, checkpoint_file(cls.hidden), unet, hashes_here(), reading)
        loaded = f"{character} v{number} ({file.name}), {describe_lineage(lineage)}"
        if strength_model == 0 and (strength_clip == 0 or clip is None):
            return io.NodeOutput(model, clip, f"{loaded}; at strength 0 it changes nothing")
        changed = comfy.sd.load_lora_for_models(model, clip, LORA_WEIGHTS(file.path), strength_model, strength_clip)
        if _patches(changed) == _patches((model, clip)):
            raise LoraError(f"Nothing in {file.name} fits this model: it was trained for another kind of model.")
        return io.NodeOutput(*changed, loaded)


def _characters() -> dict[str, Character]:
    return find_characters(loras_here())


def _patches(pair: tuple[Any, Any]) -> list[int]:
    """How many changes are laid over the model and the text encoders."""
    patchers = (pair[0], getattr(pair[1], "patcher", None))
    return [sum(map(len, patcher.patches.values())) for patcher in patchers if patcher is not None]
