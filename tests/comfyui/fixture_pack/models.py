"""Diffusion models that fit in a few megabytes and go through all of ComfyUI's real code. Imported inside ComfyUI.

Each is a checkpoint architecture of its own, registered beside the real ones, so that a file of it is recognised and
loaded by CheckpointLoaderSimple as any other. What other people's code looks at is as in the real one: the layout of
the blocks, the number of cross-attention layers (70 in SDXL, 16 in SD 1.5), the width of the text (2048, 768) and of
the added conditioning (2816). Only channels are few: 32, the least that GroupNorm takes, and 64 in SDXL's middle stage,
so that layers in a wrong order are seen and FreeU, which knows its stages by their channels, has something to do.

The text encoders are narrow too; what they say is repeated to the width the UNet reads. The VAE is TAESD.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import comfy.model_management
import comfy.sd
import comfy.sd1_clip
import comfy.sdxl_clip
import comfy.supported_models
import torch
from comfy.model_patcher import ModelPatcher
from comfy.supported_models_base import ClipTarget
from comfy.taesd.taesd import TAESD

CHANNELS = 32
TEXT_WIDTH = 32
SDXL_CONTEXT, SDXL_POOLED, SD15_CONTEXT = 2048, 1280, 768

UNET = {
    "use_checkpoint": False,
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "use_spatial_transformer": True,
    "legacy": False,
    "model_channels": CHANNELS,
    "use_temporal_attention": False,
}
SDXL_UNET = UNET | {
    "num_classes": "sequential",
    "adm_in_channels": 2816,
    "num_res_blocks": [2, 2, 2],
    "channel_mult": [1, 2, 1],
    "transformer_depth": [0, 0, 2, 2, 10, 10],
    "transformer_depth_middle": 10,
    "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
    "use_linear_in_transformer": True,
    "context_dim": SDXL_CONTEXT,
}
SD15_UNET = UNET | {
    "adm_in_channels": None,
    "num_res_blocks": [2, 2, 2, 2],
    "channel_mult": [1, 1, 1, 1],
    "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
    "transformer_depth_middle": 1,
    "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
    "use_linear_in_transformer": False,
    "context_dim": SD15_CONTEXT,
}
OUTPUT_GAIN = 0.1  # brings the noise it predicts to about the size of noise
RECOGNISED_BY = ("model_channels", "context_dim", "adm_in_channels", "use_linear_in_transformer", "transformer_depth")


def _narrow(model_options: dict[str, Any]) -> dict[str, Any]:
    """ComfyUI reads the sizes of a text encoder from here, before its own table."""
    sizes = {
        "hidden_size": TEXT_WIDTH,
        "projection_dim": TEXT_WIDTH,
        "intermediate_size": 2 * TEXT_WIDTH,
        "num_attention_heads": 2,
        "num_hidden_layers": 3,
    }
    return {**model_options, "clip_l_model_config": sizes, "clip_g_model_config": sizes}


def _widen(tensor: torch.Tensor, width: int) -> torch.Tensor:
    """`[…, channels]` to `[…, width]` by repetition."""
    return tensor.repeat(*[1] * (tensor.ndim - 1), width // tensor.shape[-1])


class TinySDXLText(comfy.sdxl_clip.SDXLClipModel):
    def __init__(self, device: Any = "cpu", dtype: Any = None, model_options: dict[str, Any] | None = None) -> None:
        super().__init__(device=device, dtype=dtype, model_options=_narrow(model_options or {}))

    def encode_token_weights(self, token_weight_pairs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        hidden, pooled = super().encode_token_weights(token_weight_pairs)
        return _widen(hidden, SDXL_CONTEXT), _widen(pooled, SDXL_POOLED)


class TinySD15Text(comfy.sd1_clip.SD1ClipModel):
    def __init__(self, device: Any = "cpu", dtype: Any = None, model_options: dict[str, Any] | None = None) -> None:
        super().__init__(device=device, dtype=dtype, model_options=_narrow(model_options or {}))

    def encode_token_weights(self, token_weight_pairs: Any) -> tuple[torch.Tensor, ...]:
        hidden, *rest = super().encode_token_weights(token_weight_pairs)
        return _widen(hidden, SD15_CONTEXT), *rest


class TinySDXL(comfy.supported_models.SDXL):
    unet_config: ClassVar[dict[str, Any]] = {name: SDXL_UNET[name] for name in RECOGNISED_BY}
    unet_extra_config: ClassVar[dict[str, Any]] = {"num_heads": -1, "num_head_channels": 16}

    def clip_target(self, state_dict: Any = None) -> ClipTarget:
        return ClipTarget(comfy.sdxl_clip.SDXLTokenizer, TinySDXLText)


class TinySD15(comfy.supported_models.SD15):
    unet_config: ClassVar[dict[str, Any]] = {name: SD15_UNET[name] for name in RECOGNISED_BY}
    unet_extra_config: ClassVar[dict[str, Any]] = {"num_heads": 2, "num_head_channels": -1}

    def clip_target(self, state_dict: Any = None) -> ClipTarget:
        return ClipTarget(comfy.sd1_clip.SD1Tokenizer, TinySD15Text)


ARCHITECTURES: dict[str, tuple[Any, dict[str, Any]]] = {"sdxl": (TinySDXL, SDXL_UNET), "sd15": (TinySD15, SD15_UNET)}


def register() -> None:
    """ComfyUI recognises files of these from now on."""
    comfy.supported_models.models += [architecture for architecture, _ in ARCHITECTURES.values()]


def fill(module: torch.nn.Module, seed: int) -> None:
    """Sets every parameter so that signals keep their size: ComfyUI's layers skip their own initialisation."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(module.named_parameters()):
        with torch.no_grad():
            if parameter.ndim < 2:
                parameter.fill_(1.0 if name.endswith("weight") else 0.0)
            else:
                inputs = parameter.shape[-1] if "embedding" in name else parameter[0].numel()
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / math.sqrt(inputs))
        parameter.requires_grad_(False)


def build(name: str, seed: int) -> tuple[ModelPatcher, Any, Any]:
    """`(model, clip, vae)` of `"sdxl"` or `"sd15"`, with random weights that follow from the seed alone."""
    architecture, unet = ARCHITECTURES[name]
    config = architecture(unet)
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model({}, "", device="cpu")
    fill(model.diffusion_model, seed)
    model.diffusion_model.get_parameter("out.2.weight").mul_(OUTPUT_GAIN)
    clip = comfy.sd.CLIP(config.clip_target())
    fill(clip.cond_stage_model, seed + 1)
    taesd = TAESD()
    fill(taesd, seed + 2)
    taesd.vae_scale.fill_(1.0)
    *_, last_bias = taesd.taesd_decoder.parameters()
    last_bias.fill_(0.5)  # a picture in the middle of the range, so that little of it is cut off
    patcher = ModelPatcher(
        model,
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )
    return patcher, clip, comfy.sd.VAE(sd=taesd.state_dict())
