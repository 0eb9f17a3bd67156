from typing import Any

import torch

from .latent_formats import LatentFormat

class BaseModel(torch.nn.Module):
    """A diffusion model with its sampling; `diffusion_model` is the UNet."""

    diffusion_model: torch.nn.Module
    model_config: Any
    model_sampling: Any
    latent_format: LatentFormat
    manual_cast_dtype: torch.dtype | None
    def get_dtype(self) -> torch.dtype: ...

class SDXL(BaseModel): ...
class SDXLRefiner(BaseModel): ...
