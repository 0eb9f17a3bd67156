"""ComfyUI's CLIP-vision model as the encoder of `features.py`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from .features import Seen
from .safetensors_header import ModelFileError

if TYPE_CHECKING:
    from comfy.clip_vision import ClipVisionModel

__all__ = ["ComfyEncoder", "load_encoder"]


def load_encoder(path: Path) -> ClipVisionModel:
    """ComfyUI's model of a file whose header was checked.

    Raises:
        ModelFileError: ComfyUI does not know an encoder of this size.
    """
    import comfy.clip_vision

    encoder = comfy.clip_vision.load(str(path))
    if encoder is None:
        raise ModelFileError(f"{path.name} is an image encoder that this ComfyUI does not know: choose another.")
    return encoder


class ComfyEncoder:
    """Looks at pictures with ComfyUI's model, on its device and under its memory management.

    `pixels` is ComfyUI's own preprocessing, which IPAdapter_plus uses too: a square picture becomes the same pixel
    values there, so numbers that were tuned there carry over. `preprocessing` names the weights' precision as well,
    which ComfyUI chooses by the machine and its command line.
    """

    def __init__(self, model: ClipVisionModel, sha256: str) -> None:
        self._model = model
        self.sha256 = sha256
        self.image_size = int(model.image_size)
        self.preprocessing = (
            f"clip_preprocess {self.image_size} {model.image_mean} {model.image_std}, {model.dtype}, v1"
        )

    def pixels(self, image: torch.Tensor) -> torch.Tensor:
        """Pixel values `[1, 3, image_size, image_size]` of `[1, side, side, 3]`, 0 to 1."""
        import comfy.clip_vision

        model = self._model
        return comfy.clip_vision.clip_preprocess(
            image.to(model.load_device), size=self.image_size, mean=model.image_mean, std=model.image_std
        ).float()

    def look(self, pixels: torch.Tensor) -> Seen:
        """Pooled embedding and penultimate hidden states of pixel values `[1, 3, image_size, image_size]`."""
        import comfy.model_management

        model = self._model
        comfy.model_management.load_models_gpu([model.patcher])
        with torch.no_grad():
            _, hidden, pooled, *_ = model.model(pixel_values=pixels.to(model.load_device), intermediate_output=-2)
        return Seen(pooled[0].float().cpu(), hidden[0].float().cpu())
