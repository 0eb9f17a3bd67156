"""Scene From Memory: a prompt of scene and composition, within CLIP's tokens, and never a name."""

from __future__ import annotations

from comfy_api.latest import io

from ..clip_tokens import count_tokens
from ..scene import COMPOSITIONS, scene_from_memory
from ..sockets import MEMORY, WORN
from ..views import Memory, Worn

__all__ = ["SceneFromMemory"]


class SceneFromMemory(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Vestige_SceneFromMemory",
            display_name="Scene From Memory",
            category="Vestige/Memory",
            description="A prompt of your scene line, what is worn, and the place, time and weather that memory tells "
            "of. The character's name never stands in it: the LoRA carries the face.",
            inputs=[
                io.String.Input(
                    "scene",
                    default="",
                    multiline=True,
                    tooltip="Scene and composition in your words. What it says wins over what is remembered.",
                ),
                io.Combo.Input(
                    "composition",
                    options=list(COMPOSITIONS),
                    default="full body",
                    tooltip="How much of the figure shows.",
                ),
                io.Int.Input(
                    "most_tokens",
                    default=75,
                    min=8,
                    max=300,
                    tooltip="CLIP's own tokens, counted. One reading takes 75; a longer prompt is read in several.",
                ),
                io.Custom(MEMORY).Input("memory", optional=True, tooltip="From Recall Memory."),
                io.Custom(WORN).Input("worn", optional=True, tooltip="From Worn Outfit."),
                io.String.Input(
                    "names",
                    optional=True,
                    default="",
                    tooltip="More names that must not stand in the prompt, separated by commas. Those of the memory's "
                    "character are kept out anyway.",
                ),
            ],
            outputs=[
                io.String.Output("prompt", tooltip="For CLIP Text Encode."),
                io.Int.Output("tokens", tooltip="How many of CLIP's tokens it is."),
            ],
        )

    @classmethod
    def execute(
        cls,
        scene: str,
        composition: str,
        most_tokens: int,
        memory: Memory | None = None,
        worn: Worn | None = None,
        names: str = "",
    ) -> io.NodeOutput:
        made = scene_from_memory(
            scene,
            count=count_tokens,
            most=most_tokens,
            composition=COMPOSITIONS[composition],
            worn=worn,
            memory=memory,
            names=[name.strip() for name in names.split(",") if name.strip()],
        )
        lines = [f"{made.tokens} of {most_tokens} tokens", made.prompt]
        lines += [f"left out: {', '.join(made.left_out)}"] if made.left_out else []
        return io.NodeOutput(made.prompt, made.tokens, ui={"vestige_lines": lines})
