from collections.abc import Mapping
from typing import Any

import torch

def load_lora(
    lora: Mapping[str, torch.Tensor], to_load: Mapping[str, Any], log_missing: bool = True
) -> dict[str, Any]: ...
def model_lora_keys_unet(model: torch.nn.Module, key_map: dict[str, Any] = ...) -> dict[str, Any]: ...
def model_lora_keys_clip(model: torch.nn.Module, key_map: dict[str, Any] = ...) -> dict[str, Any]: ...
