"""The last node of a sweep's expansion: it gathers the pictures and lays them out."""

from __future__ import annotations

import numpy as np
import torch
from comfy_api.latest import io, ui
from PIL import Image

from ..sweep import contact_sheet
from ..sweep.plan import Plan

__all__ = ["PICTURES", "SweepSheet", "picture_input"]

PICTURES = "VESTIGE_PICTURES"


def picture_input(index: int) -> str:
    """The name of the input that takes the picture of cell `index`."""
    return f"picture_{index:04}"


class SweepSheet(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Vestige_SweepSheet",
            display_name="Sweep Sheet",
            category="Vestige/Outfit/parts",
            description="What Outfit Sweep ends in. It has no use by itself: use Outfit Sweep.",
            inputs=[io.String.Input("plan", default="", tooltip="The sweep, as Outfit Sweep writes it.")],
            outputs=[
                io.Custom(PICTURES).Output("pictures", tooltip="The pictures, in the order of the cells."),
                io.Image.Output("sheet", tooltip="All of them on one sheet."),
            ],
            is_experimental=True,
        )

    @classmethod
    def execute(cls, plan: str, **pictures: torch.Tensor) -> io.NodeOutput:
        """`pictures`: `[batch, height, width, 3]` by `picture_input`. The sheet shows the first of each batch."""
        swept = Plan.from_json(plan)
        names = [picture_input(index) for index in range(len(swept.grid.cells))]
        if names != sorted(pictures):
            raise ValueError(f"{len(pictures)} pictures for {len(names)} cells: use Outfit Sweep.")
        ordered = [pictures[name] for name in names]
        sheet = contact_sheet([_picture(batch) for batch in ordered], swept.grid, swept.title)
        tensor = torch.from_numpy(np.asarray(sheet, dtype=np.float32) / 255.0)[None]
        return io.NodeOutput(ordered, tensor, ui=ui.PreviewImage(tensor))


def _picture(batch: torch.Tensor) -> Image.Image:
    pixels = (batch[0, ..., :3].float().clamp(0, 1) * 255).round().to(torch.uint8)
    return Image.fromarray(pixels.cpu().numpy())
