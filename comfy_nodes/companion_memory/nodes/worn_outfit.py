"""Worn Outfit: what a character wears, and its picture in the reference cache."""

from __future__ import annotations

import hashlib

from comfy_api.latest import io

from ...outfit_tuner.references import NotCached
from ...outfit_tuner.references.here import references_here
from ..away import FAIL, asked
from ..errors import ServerAway
from ..here import companion_here
from ..sockets import WORN
from ..views import Worn
from .inputs import badge, character_input, state_of, when_away_input

__all__ = ["WornOutfit"]


class WornOutfit(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Vestige_WornOutfit",
            display_name="Worn Outfit",
            category="Vestige/Memory",
            description="What a companion wears now. Its picture is put into the reference cache: wire "
            "reference_sha256 to Load Reference's sha256.",
            inputs=[character_input(), when_away_input()],
            outputs=[
                io.Custom(WORN).Output("worn", tooltip="For Scene From Memory and Remember Picture."),
                io.String.Output("item", tooltip="The item's id; empty where nothing is worn."),
                io.String.Output("reference_sha256", tooltip="For Load Reference; empty where there is no picture."),
                io.String.Output("title", tooltip="The item's title."),
                io.String.Output("prompt_hint", tooltip="What a prompt says of it, such as: a long red coat."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, character: str | None = None, when_away: str | None = FAIL) -> str | float:
        return state_of(character, lambda state: state.worn, when_away)

    @classmethod
    def execute(cls, character: str, when_away: str = FAIL) -> io.NodeOutput:
        worn, away = asked(lambda: _worn(character), None, when_away)
        shown = worn or Worn("", "", "", "")
        return io.NodeOutput(worn, shown.item, shown.reference, shown.title, shown.prompt_hint, ui=badge(away))


def _worn(character: str) -> Worn | None:
    """What is worn, once its picture is in the cache."""
    worn = companion_here().worn(character)
    if worn is None or not worn.reference:
        return worn
    cache = references_here()
    try:
        cache.entry(worn.reference)
    except NotCached:
        picture = companion_here().worn_picture(character)
        if hashlib.sha256(picture).hexdigest() != worn.reference:
            raise ServerAway("The item was changed a moment ago: run it again.") from None
        cache.put(picture)
    return worn
