from os import PathLike
from typing import Any

import torch
from PIL.Image import Image

def load_torch_file(
    ckpt: str | PathLike[str],
    safe_load: bool = False,
    device: torch.device | None = None,
    return_metadata: bool = False,
) -> Any: ...
def common_upscale(samples: torch.Tensor, width: int, height: int, upscale_method: str, crop: str) -> torch.Tensor: ...
def repeat_to_batch_size(tensor: torch.Tensor, batch_size: int, dim: int = 0) -> torch.Tensor: ...

class ProgressBar:
    """The bar on the node that runs. Updating it raises `InterruptProcessingException` after an interrupt."""

    def __init__(self, total: int, node_id: str | None = None) -> None: ...
    def update_absolute(
        self, value: int, total: int | None = None, preview: tuple[str, Image, int | None] | None = None
    ) -> None: ...
    def update(self, value: int) -> None: ...

def unet_to_diffusers(unet_config: dict[str, Any]) -> dict[str, str]: ...
