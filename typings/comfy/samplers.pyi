from typing import Any

import torch

from .model_patcher import ModelPatcher

SAMPLER_NAMES: list[str]
SCHEDULER_NAMES: list[str]

class KSampler:
    SAMPLERS: list[str]
    SCHEDULERS: list[str]

def calculate_sigmas(model_sampling: Any, scheduler_name: str, steps: int) -> torch.Tensor: ...
def sampler_object(name: str) -> Any: ...

class CFGGuider:
    """Samples with a positive and a negative conditioning; others derive from it."""

    model_patcher: ModelPatcher
    def __init__(self, model_patcher: ModelPatcher) -> None: ...
    def set_conds(self, positive: Any, negative: Any) -> None: ...
    def set_cfg(self, cfg: float) -> None: ...
    def sample(
        self,
        noise: torch.Tensor,
        latent_image: torch.Tensor,
        sampler: Any,
        sigmas: torch.Tensor,
        denoise_mask: torch.Tensor | None = None,
        callback: Any = None,
        disable_pbar: bool = False,
        seed: int | None = None,
    ) -> torch.Tensor: ...
