"""Remember Picture: the companion learns that a picture was made, and can speak of it."""

from __future__ import annotations

import hashlib

import torch
from comfy_api.latest import io

from ..away import FAIL, asked
from ..here import companion_here
from ..sockets import WORN
from ..views import Worn
from .inputs import badge, character_input, when_away_input

__all__ = ["RememberPicture"]


class RememberPicture(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Vestige_RememberPicture",
            display_name="Remember Picture",
            category="Vestige/Memory",
            description="Tells a companion that a picture was made, with its item and preset. The same picture is told "
            "once. Needs a key with the scope remember; the picture itself stays here.",
            is_output_node=True,
            inputs=[
                io.Image.Input("images", tooltip="The picture that was made."),
                character_input(),
                io.Custom(WORN).Input("worn", optional=True, tooltip="From Worn Outfit: what it shows."),
                io.String.Input(
                    "item", optional=True, default="", tooltip="The item's id, where it is not what is worn."
                ),
                io.String.Input(
                    "preset", optional=True, default="", tooltip="The tuning preset it was made with, name@version."
                ),
                io.String.Input(
                    "note",
                    optional=True,
                    default="",
                    multiline=True,
                    tooltip="A few words that the companion knows too.",
                ),
                when_away_input(),
            ],
            outputs=[io.Image.Output("picture", tooltip="The picture, as it came.")],
        )

    @classmethod
    def execute(
        cls,
        images: torch.Tensor,
        character: str,
        worn: Worn | None = None,
        item: str = "",
        preset: str = "",
        note: str = "",
        when_away: str = FAIL,
    ) -> io.NodeOutput:
        shown = item.strip() or (worn.item if worn else "")
        key = _key(images, character, shown, preset, note)
        _, away = asked(
            lambda: companion_here().note(
                character, key=key, item=shown or None, preset=preset.strip(), note=note.strip()
            ),
            False,
            when_away,
        )
        return io.NodeOutput(images, ui=badge(away))


def _key(images: torch.Tensor, *words: str) -> str:
    """The same for the same pixels told in the same words."""
    levels = images.detach().mul(255).round().clamp(0, 255).to(torch.uint8).cpu().contiguous()
    hashed = hashlib.sha256(repr(tuple(levels.shape)).encode() + levels.numpy().tobytes())
    hashed.update("\0".join(("", *words)).encode())
    return hashed.hexdigest()
