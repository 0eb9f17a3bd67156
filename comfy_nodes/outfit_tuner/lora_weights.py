"""A LoRA's weights, read once for each state of its file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from .by_file import ByFile
from .safetensors_header import ModelFileError, read_header

__all__ = ["LORA_WEIGHTS", "read_weights"]

_HELD = 1024 * 2**20  # bytes
_CHECKED = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})

Weights = Mapping[str, torch.Tensor]


def read_weights(path: Path) -> Weights:
    """A LoRA's tensors by name, in memory of their own: a trainer may write the file anew while they are used.

    Raises:
        ModelFileError: unreadable, or a weight is not finite.
    """
    read_header(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            weights = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 # it is no mapping
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{path.name} cannot be read ({error}): get it again.") from error
    for name, weight in weights.items():
        if weight.dtype in _CHECKED and weight.numel():
            low, high = torch.aminmax(weight)
            if not (math.isfinite(low) and math.isfinite(high)):
                raise ModelFileError(
                    f"{path.name} holds numbers that are not finite ({name}): its training failed, use another version."
                )
    return weights


LORA_WEIGHTS: ByFile[Weights] = ByFile(
    read_weights, _HELD, cost=lambda weights: sum(weight.nbytes for weight in weights.values())
)
