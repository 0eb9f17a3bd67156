"""Which character, in the nodes that put her LoRA on themselves."""

from __future__ import annotations

from comfy_api.latest import io

from ..loras import LIVE, find_characters
from ..models_here import loras_here
from .load_character_lora import LoadCharacterLora
from .steps import NO_CHARACTER

__all__ = ["character_inputs", "character_state", "check_character"]


def character_inputs() -> list[io.Input]:
    """Three widgets; `none` leaves the LoRA out."""
    return [
        io.Combo.Input(
            "character",
            options=[NO_CHARACTER, *find_characters(loras_here())],
            default=NO_CHARACTER,
            tooltip="Whose LoRA goes on first, with the strengths of the tuning. none: no LoRA.",
        ),
        io.String.Input(
            "version", default=LIVE, tooltip="Which version of the LoRA: live, or a number such as 3, which stays."
        ),
        io.Boolean.Input(
            "other_lineage",
            default=False,
            tooltip="Off: a LoRA that was trained on another base than the checkpoint's is refused. On: it is used.",
        ),
    ]


def check_character(character: str | None, version: str | None) -> bool | str:
    """What `validate_inputs` says of the two."""
    return character == NO_CHARACTER or LoadCharacterLora.validate_inputs(character, version)


def character_state(character: str | None, version: str | None) -> str:
    """What `fingerprint_inputs` says of the two: another file for the same words is another input."""
    return "" if character == NO_CHARACTER else LoadCharacterLora.fingerprint_inputs(character, version)
