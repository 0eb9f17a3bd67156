"""Nodes that make inputs, look at what travels along a link, take their time, or fail. Imported inside ComfyUI."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import comfy.clip_vision
import comfy.utils
import torch
from comfy.model_patcher import ModelPatcher
from comfy_api.latest import ComfyExtension, io, ui

CATEGORY = "Tests"


class Picture(io.ComfyNode):
    """A soft random picture that follows from its seed, and a mask of its right half."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Tiny_Picture",
            category=CATEGORY,
            inputs=[
                io.Int.Input("seed", default=0, min=0, max=2**31),
                io.Int.Input("width", default=64, min=1, max=4096),
                io.Int.Input("height", default=64, min=1, max=4096),
            ],
            outputs=[io.Image.Output("image"), io.Mask.Output("mask")],
        )

    @classmethod
    def execute(cls, seed: int, width: int, height: int) -> io.NodeOutput:
        blots = torch.rand((1, 3, 6, 6), generator=torch.Generator().manual_seed(seed))
        image = torch.nn.functional.interpolate(blots, (height, width), mode="bicubic").clamp(0, 1).movedim(1, -1)
        mask = torch.zeros(1, height, width)
        mask[:, :, width // 2 :] = 1.0
        return io.NodeOutput(image, mask)


class Report(io.ComfyNode):
    """Says what came along a link, as JSON in `ui.text`: shapes, hashes and spreads of tensors, fields of records."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Tiny_Report",
            category=CATEGORY,
            inputs=[io.AnyType.Input("value")],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, value: Any) -> io.NodeOutput:
        return io.NodeOutput(ui=ui.PreviewText(json.dumps(describe(value))))


class Sleep(io.ComfyNode):
    """Hands a latent on after some seconds; an interrupt ends it within a tenth of one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Tiny_Sleep",
            category=CATEGORY,
            inputs=[io.Latent.Input("latent"), io.Float.Input("seconds", default=5.0, min=0.0, max=60.0)],
            outputs=[io.Latent.Output("same")],
        )

    @classmethod
    def execute(cls, latent: Any, seconds: float) -> io.NodeOutput:
        beats = round(10 * seconds)
        bar = comfy.utils.ProgressBar(beats)
        for _ in range(beats):
            time.sleep(0.1)
            bar.update(1)
        return io.NodeOutput(latent)


class Fail(io.ComfyNode):
    """Fails with the text it is given."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Tiny_Fail",
            category=CATEGORY,
            inputs=[io.Latent.Input("latent"), io.String.Input("message", default="It broke.")],
            outputs=[io.Latent.Output("same")],
        )

    @classmethod
    def execute(cls, latent: Any, message: str) -> io.NodeOutput:
        raise ValueError(message)


def describe(value: Any) -> Any:
    """A JSON value that says what `value` is."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, torch.Tensor):
        return _tensor(value)
    if isinstance(value, Mapping):
        return {str(key): describe(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [describe(entry) for entry in value]
    if isinstance(value, ModelPatcher):
        return _model(value)
    if isinstance(value, comfy.clip_vision.Output):
        return describe(vars(value))
    if dataclasses.is_dataclass(value):
        fields = {field.name: describe(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"is": type(value).__name__, **fields}
    return {"is": type(value).__name__}


def _tensor(tensor: torch.Tensor) -> dict[str, Any]:
    numbers = tensor.detach().to("cpu", torch.float32).contiguous()
    spread = {"min": numbers.min(), "mean": numbers.mean(), "max": numbers.max()} if numbers.numel() else {}
    return {
        "is": "Tensor",
        "shape": list(tensor.shape),
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "sha256": hashlib.sha256(numbers.numpy().tobytes()).hexdigest(),
        **{name: value.item() for name, value in spread.items()},
    }


def _model(model: ModelPatcher) -> dict[str, Any]:
    """Counts of what is laid over the model, so that a test sees patches that add up."""
    options = model.model_options.get("transformer_options", {})
    layers = Counter(len(laid) for laid in model.patches.values())
    return {
        "is": "ModelPatcher",
        "model": type(model.model).__name__,
        "weights_patched": {str(times): count for times, count in sorted(layers.items())},
        "patches": {name: len(laid) for name, laid in options.get("patches", {}).items()},
        "replaced": {name: len(laid) for name, laid in options.get("patches_replace", {}).items()},
        "wrappers": {kind: sum(map(len, by_key.values())) for kind, by_key in model.wrappers.items() if by_key},
    }


class FixtureExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [Picture, Report, Sleep, Fail]
