"""Character: who a companion is, for a picture of them."""

from __future__ import annotations

from comfy_api.latest import io

from .. import views
from ..away import FAIL, asked
from ..here import companion_here
from .inputs import badge, character_input, state_of, when_away_input

__all__ = ["Character"]

_NOBODY = views.Character("", "", (), "", "", "")


class Character(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Vestige_Character",
            display_name="Character",
            category="Vestige/Memory",
            description="A companion's card: name, appearance, and the LoRA version that is live.",
            inputs=[character_input(), when_away_input()],
            outputs=[
                io.String.Output("name", tooltip="What they are called. Not for a prompt: the LoRA carries the face."),
                io.String.Output("appearance", tooltip="The card's description."),
                io.String.Output("lora", tooltip="The character's name at the hosts, for Load Character LoRA."),
                io.String.Output("version", tooltip="The version that is live, for Load Character LoRA."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, character: str | None = None, when_away: str | None = FAIL) -> str | float:
        return state_of(character, lambda state: state.character, when_away)

    @classmethod
    def execute(cls, character: str, when_away: str = FAIL) -> io.NodeOutput:
        found, away = asked(lambda: companion_here().character(character), _NOBODY, when_away)
        return io.NodeOutput(found.name, found.appearance, found.lora, found.lora_version, ui=badge(away))
