"""An IP-Adapter's weights, in place: mapped from the file, never initialised first and never held twice."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from ..safetensors_header import ModelFileError, read_header
from .layout import Layout, infer_layout, key_value_names

__all__ = ["Adapter", "load_adapter"]


@dataclass(frozen=True, eq=False)
class Adapter:
    """An IP-Adapter file.

    `image_proj`: the image projection's weights by name, without the file's `image_proj.`. `key_values`: for each
    cross-attention layer, in the file's order, `(to_k, to_v)`, each `[width, cross_dim]`. The tensors lie in the file's
    pages, on the CPU: whoever computes with one takes it to the UNet's device and dtype then, one at a time, since
    keys and values are computed once. `sha256` is of the file's bytes, `name` is the file's, for messages.
    """

    sha256: str
    layout: Layout
    image_proj: Mapping[str, torch.Tensor]
    key_values: tuple[tuple[torch.Tensor, torch.Tensor], ...]
    name: str = "This adapter"


def load_adapter(path: Path, sha256: str) -> Adapter:
    """Maps a file's weights and looks at each number once.

    Raises:
        ModelFileError: as `read_layout`; or a weight that is not finite.
    """
    header = read_header(path)
    layout = infer_layout(header, path.name)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            image_proj = {
                key.removeprefix("image_proj."): _finite(file.get_tensor(key), key, path)
                for key in header.tensors
                if key.startswith("image_proj.")
            }
            key_values = tuple(
                (_finite(file.get_tensor(key), key, path), _finite(file.get_tensor(value), value, path))
                for key, value in key_value_names(header)
            )
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{path.name} cannot be read ({error}): download it again.") from error
    return Adapter(sha256, layout, image_proj, key_values, path.name)


def _finite(weight: torch.Tensor, key: str, path: Path) -> torch.Tensor:
    low, high = torch.aminmax(weight)  # NaN wins over every number; needs no second tensor, unlike isfinite
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ModelFileError(f"{path.name} holds numbers that are not finite ({key}): it is damaged, get it again.")
    return weight
