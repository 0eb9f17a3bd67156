from typing import Any

import torch

SAMPLER_NAMES: list[str]
SCHEDULER_NAMES: list[str]

class KSampler:
    SAMPLERS: list[str]
    SCHEDULERS: list[str]

def calculate_sigmas(model_sampling: Any, scheduler_name: str, steps: int) -> torch.Tensor: ...
