"""The cross-attention layers of a UNet, told from the shapes of its weights."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from .safetensors_header import ModelFileError, read_header

__all__ = ["UnetSize", "model_size", "read_unet_size", "unet_name", "unet_size"]

_STAGES = ("input_blocks", "output_blocks", "middle_block")
_LAYER = re.compile(
    r"(?:^|\.)(input_blocks|output_blocks|middle_block)\.(\d+)\.(?:\d+\.)?transformer_blocks\.(\d+)\.attn2\.to_k(?:\.weight)?"
)
_NAMES = {768: "Stable Diffusion 1.5", 1024: "Stable Diffusion 2", 1280: "the SDXL refiner", 2048: "SDXL"}


@dataclass(frozen=True)
class UnetSize:
    """`cross_dim`: channels of the text conditioning. `widths`: inner channels of each cross-attention layer, in the
    order of an IP-Adapter's file: down, up, middle blocks, which is that of diffusers' attention processors.
    """

    cross_dim: int
    widths: tuple[int, ...]


def unet_size(shapes: Iterable[tuple[str, tuple[int, ...]]]) -> UnetSize | None:
    """From names of weights as in a checkpoint, with or without a prefix; None where there is no such UNet."""
    layers: list[tuple[tuple[int, int, int], tuple[int, ...]]] = []
    for name, shape in shapes:
        match = _LAYER.search(name)
        if match and match.end() == len(name) and len(shape) == 2:
            layers.append(((_STAGES.index(match[1]), int(match[2]), int(match[3])), shape))
    cross_dims = {shape[1] for _, shape in layers}
    if len(cross_dims) != 1:
        return None
    return UnetSize(cross_dims.pop(), tuple(shape[0] for _, shape in sorted(layers)))


def read_unet_size(path: Path) -> UnetSize:
    """From a checkpoint's header.

    Raises:
        ModelFileError: unreadable, or no UNet of the Stable Diffusion kind.
    """
    size = unet_size((name, info.shape) for name, info in read_header(path).tensors.items())
    if size is None:
        raise ModelFileError(f"{path.name} holds no UNet of Stable Diffusion 1.5 or SDXL: choose such a checkpoint.")
    return size


def model_size(diffusion_model: torch.nn.Module) -> UnetSize | None:
    """From a loaded UNet. Asks the layers and not their weights, which may be stored in another form."""
    return unet_size(
        (name, (module.out_features, module.in_features))
        for name, module in diffusion_model.named_modules()
        if name.endswith("attn2.to_k") and isinstance(module, torch.nn.Linear)
    )


def unet_name(cross_dim: int) -> str:
    """What people call a model with text conditioning of so many channels."""
    return _NAMES.get(cross_dim, f"a model with {cross_dim} channels of text conditioning")
