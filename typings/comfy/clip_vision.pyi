from collections.abc import Mapping
from typing import Any

import torch

from .model_patcher import ModelPatcher

class Output:
    """Tensors by attribute or by key."""

    last_hidden_state: torch.Tensor
    penultimate_hidden_states: torch.Tensor
    image_embeds: torch.Tensor
    def __getitem__(self, key: str) -> Any: ...
    def __setitem__(self, key: str, item: Any) -> None: ...

class ClipVisionModel:
    """A CLIP image encoder; `image_size` in pixels."""

    image_size: int
    image_mean: list[float]
    image_std: list[float]
    model: torch.nn.Module
    patcher: ModelPatcher
    dtype: torch.dtype
    load_device: torch.device
    def __init__(self, json_config: str) -> None: ...
    def load_sd(self, sd: Mapping[str, torch.Tensor]) -> tuple[list[str], list[str]]: ...
    def get_sd(self) -> dict[str, torch.Tensor]: ...
    def encode_image(self, image: torch.Tensor, crop: bool = True) -> Output: ...

def load(ckpt_path: str) -> ClipVisionModel | None: ...
def load_clipvision_from_sd(
    sd: dict[str, torch.Tensor], prefix: str = "", convert_keys: bool = False
) -> ClipVisionModel | None: ...
def clip_preprocess(
    image: torch.Tensor,
    size: int = 224,
    mean: list[float] = ...,
    std: list[float] = ...,
    crop: bool = True,
) -> torch.Tensor: ...
