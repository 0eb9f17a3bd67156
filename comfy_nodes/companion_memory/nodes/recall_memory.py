"""Recall Memory: what a companion remembers, as text with its sources."""

from __future__ import annotations

from comfy_api.latest import io

from ..away import FAIL, asked
from ..here import companion_here
from ..sockets import MEMORY
from ..views import Memory
from .inputs import badge, character_input, state_of, when_away_input

__all__ = ["RecallMemory"]


class RecallMemory(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Vestige_RecallMemory",
            display_name="Recall Memory",
            category="Vestige/Memory",
            description="What a companion on your Vestige server remembers. Runs again when the memory has changed, "
            "and not before.",
            inputs=[
                character_input(),
                io.String.Input(
                    "query",
                    default="",
                    multiline=True,
                    tooltip="What to remember: a question or a few words. Empty: the summary and what was said lately.",
                ),
                io.Int.Input(
                    "tokens",
                    default=600,
                    min=50,
                    max=16_000,
                    step=50,
                    tooltip="The longest text to bring, in a language model's tokens (words × 1.33).",
                ),
                when_away_input(),
            ],
            outputs=[
                io.Custom(MEMORY).Output("memory", tooltip="All of it, for Scene From Memory."),
                io.String.Output("text", tooltip="Summary, memories and newest messages, ready for a prompt."),
                io.String.Output("summary", tooltip="The rolling picture of the relationship."),
                io.String.Output("recent", tooltip="The newest messages, a line each."),
                io.String.Output("memories", tooltip="What the query brought back, a line each."),
                io.String.Output("provenance", tooltip="JSON: which messages all of this is from, by their ids."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, character: str | None = None, when_away: str | None = FAIL, **_: object) -> str | float:
        return state_of(character, lambda state: f"{state.memory} {state.character}", when_away)

    @classmethod
    def execute(cls, character: str, query: str, tokens: int, when_away: str = FAIL) -> io.NodeOutput:
        memory, away = asked(lambda: companion_here().recall(character, query, tokens), Memory(), when_away)
        return io.NodeOutput(
            memory,
            memory.text,
            memory.summary,
            "\n".join(memory.recent),
            "\n".join(memory.remembered),
            memory.provenance,
            ui=badge(away),
        )
