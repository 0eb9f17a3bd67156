"""Files and models of the published sizes with random weights. Inside ComfyUI."""

from __future__ import annotations

import json
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import comfy.clip_vision
import comfy.model_patcher
import comfy.supported_models
import tiny
import torch
from safetensors.torch import save_file

from comfy_nodes.outfit_tuner.adapters import load_adapter
from comfy_nodes.outfit_tuner.layers import cross_attention_layers
from comfy_nodes.outfit_tuner.sockets import OutfitModels

UNET = tiny.SDXL_UNET | {"model_channels": 320, "adm_in_channels": 2816}
VIT_H = {
    "model_type": "clip_vision_model",
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-5,
    "hidden_size": 1280,
    "num_hidden_layers": 32,
    "num_attention_heads": 16,
    "intermediate_size": 5120,
    "image_size": 224,
    "patch_size": 14,
    "num_channels": 3,
    "projection_dim": 1024,
}


def unet(device: str, dtype: torch.dtype = torch.float16) -> Any:
    """SDXL's UNet; on `meta` it has sizes and no weights, which is all that nodes look at."""
    config = comfy.supported_models.SDXL(UNET)
    config.set_inference_dtype(dtype, None)
    model = config.get_model({}, "", device=device)
    place = torch.device("cpu" if device == "meta" else device)
    return comfy.model_patcher.ModelPatcher(model, load_device=place, offload_device=torch.device("cpu"))


@lru_cache
def adapter_file() -> Path:
    """The shapes of `ip-adapter-plus_sdxl_vit-h.safetensors`, 848 MB."""
    layers = cross_attention_layers(unet("meta").model.diffusion_model)
    tiny.VISION_DIM = VIT_H["hidden_size"]
    parts = tiny.adapter_weights("plus", tuple(layer.width for layer in layers), 2048)
    tensors = {
        f"{part}.{name}": weight.half().contiguous()
        for part, weights in parts.items()
        for name, weight in weights.items()
    }
    path = Path(os.environ["BENCH_FOLDER"]) / "adapter.safetensors"
    save_file(tensors, path)
    return path


@lru_cache
def encoder() -> Any:
    """ViT-H."""
    file = Path(os.environ["BENCH_FOLDER"]) / "vit_h.json"
    file.write_text(json.dumps(VIT_H), encoding="utf-8")
    model = comfy.clip_vision.ClipVisionModel(str(file))
    for parameter in model.model.parameters():
        parameter.requires_grad_(False)
        parameter.copy_(0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel())))
    return model


@lru_cache
def outfit_models() -> OutfitModels:
    return OutfitModels(load_adapter(adapter_file(), "random"), encoder(), "random")


@lru_cache
def their_weights() -> Any:
    utils: Any = sys.modules["ipadapter_plus_pack.utils"]
    return utils.ipadapter_model_loader(str(adapter_file()))


@lru_cache
def picture() -> torch.Tensor:
    """`[1, 1024, 1024, 3]`."""
    return torch.rand(1, 1024, 1024, 3, generator=torch.Generator().manual_seed(1))


__all__ = ["adapter_file", "encoder", "outfit_models", "picture", "their_weights", "unet"]
