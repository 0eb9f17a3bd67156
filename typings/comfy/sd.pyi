from collections.abc import Mapping
from typing import Any, Self

import torch

from .model_patcher import ModelPatcher
from .supported_models_base import ClipTarget

class CLIP:
    cond_stage_model: torch.nn.Module
    patcher: ModelPatcher
    tokenizer: Any
    def __init__(self, target: ClipTarget | None = None) -> None: ...
    def clone(self) -> Self: ...
    def get_key_patches(self) -> dict[str, Any]: ...
    def add_patches(
        self, patches: Mapping[str, Any], strength_patch: float = 1.0, strength_model: float = 1.0
    ) -> list[str]: ...

class VAE:
    first_stage_model: torch.nn.Module
    def __init__(self, sd: Mapping[str, torch.Tensor]) -> None: ...
    def encode(self, pixel_samples: torch.Tensor) -> torch.Tensor: ...
    def decode(self, samples_in: torch.Tensor) -> torch.Tensor: ...

def save_checkpoint(
    output_path: str,
    model: ModelPatcher,
    clip: CLIP | None = None,
    vae: VAE | None = None,
    clip_vision: Any = None,
    metadata: dict[str, str] | None = None,
) -> None: ...
def load_lora_for_models(
    model: ModelPatcher | None,
    clip: CLIP | None,
    lora: Mapping[str, torch.Tensor],
    strength_model: float,
    strength_clip: float,
) -> tuple[ModelPatcher | None, CLIP | None]: ...
