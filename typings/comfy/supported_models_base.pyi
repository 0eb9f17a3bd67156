from typing import Any, ClassVar

import torch

from .model_base import BaseModel

class ClipTarget:
    def __init__(self, tokenizer: type[Any], clip: type[torch.nn.Module]) -> None: ...

class BASE:
    """An architecture that checkpoints are recognised as, by `unet_config`."""

    unet_config: ClassVar[dict[str, Any]]
    unet_extra_config: ClassVar[dict[str, Any]]
    def __init__(self, unet_config: dict[str, Any]) -> None: ...
    def set_inference_dtype(self, dtype: torch.dtype, manual_cast_dtype: torch.dtype | None) -> None: ...
    def get_model(self, state_dict: dict[str, torch.Tensor], prefix: str = "", device: Any = None) -> BaseModel: ...
    def clip_target(self, state_dict: Any = ...) -> ClipTarget: ...
