"""Tiny random models with the real ones' layers: SDXL's 70 and Stable Diffusion 1.5's 16, on a few channels."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import Any

import torch

import comfy.clip_vision
import comfy.model_patcher
import comfy.supported_models

VISION_DIM, VISION_PROJECTION = 64, 48
_COMMON = {
    "use_checkpoint": False,
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "use_spatial_transformer": True,
    "legacy": False,
    "model_channels": 32,
    "use_temporal_attention": False,
}
SDXL_UNET: dict[str, Any] = _COMMON | {
    "num_classes": "sequential",
    "adm_in_channels": 16,
    "num_res_blocks": [2, 2, 2],
    "channel_mult": [1, 2, 4],
    "transformer_depth": [0, 0, 2, 2, 10, 10],
    "transformer_depth_middle": 10,
    "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
    "use_linear_in_transformer": True,
    "context_dim": 2048,
}
SD15_UNET: dict[str, Any] = _COMMON | {
    "num_classes": None,
    "adm_in_channels": None,
    "num_res_blocks": [2, 2, 2, 2],
    "channel_mult": [1, 2, 4, 4],
    "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
    "transformer_depth_middle": 1,
    "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
    "use_linear_in_transformer": False,
    "context_dim": 768,
}


class TinySDXL(comfy.supported_models.SDXL):
    unet_extra_config = {"num_heads": -1, "num_head_channels": 32}  # noqa: RUF012 # ComfyUI's own attribute


class TinySD15(comfy.supported_models.SD15):
    unet_extra_config = {"num_heads": 4, "num_head_channels": -1}  # noqa: RUF012 # ComfyUI's own attribute


def fill(module: torch.nn.Module, seed: int) -> None:
    """ComfyUI leaves weights uninitialised."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(module.named_parameters()):
        parameter.requires_grad_(False)
        if parameter.dim() >= 2:
            scale = 1 / math.sqrt(parameter[0].numel())
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
        elif name.endswith("weight"):
            parameter.fill_(1.0)
        else:
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.02)


def unet(family: str, dtype: torch.dtype = torch.float32, seed: int = 0) -> comfy.model_patcher.ModelPatcher:
    config = TinySDXL(SDXL_UNET) if family == "sdxl" else TinySD15(SD15_UNET)
    config.set_inference_dtype(dtype, None)
    model = config.get_model({}, "", device="cpu")
    if family == "sdxl":
        vars(model)["encode_adm"] = lambda **_: torch.zeros(1, SDXL_UNET["adm_in_channels"])
    fill(model.diffusion_model, seed)
    cpu = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(model, load_device=cpu, offload_device=cpu)


def vision(seed: int = 3) -> comfy.clip_vision.ClipVisionModel:
    config = {
        "model_type": "clip_vision_model",
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
        "hidden_size": VISION_DIM,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 2 * VISION_DIM,
        "image_size": 224,
        "patch_size": 56,
        "num_channels": 3,
        "projection_dim": VISION_PROJECTION,
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.json"
        file.write_text(json.dumps(config), encoding="utf-8")
        model = comfy.clip_vision.ClipVisionModel(str(file))
    fill(model.model, seed)
    return model


def adapter_weights(kind: str, widths: tuple[int, ...], cross_dim: int, seed: int = 5) -> dict[str, dict[str, Any]]:
    """An adapter file's two parts. IPAdapter_plus has the resampler's sizes written down, so they are the real ones."""
    generator = torch.Generator().manual_seed(seed)

    def matrix(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator) / math.sqrt(shape[-1])

    def norm(name: str, dim: int) -> dict[str, torch.Tensor]:
        return {f"{name}.weight": 1 + 0.1 * matrix(dim), f"{name}.bias": 0.1 * matrix(dim)}

    def linear(name: str, rows: int, columns: int) -> dict[str, torch.Tensor]:
        return {f"{name}.weight": matrix(rows, columns), f"{name}.bias": 0.1 * matrix(rows)}

    if kind == "plain":
        image_proj = linear("proj", 4 * cross_dim, VISION_PROJECTION) | norm("norm", cross_dim)
    elif kind == "full":
        image_proj = linear("proj.0", VISION_DIM, VISION_DIM) | linear("proj.2", cross_dim, VISION_DIM)
        image_proj |= norm("proj.3", cross_dim)
    else:
        dim = 1280 if cross_dim == 2048 else 768
        image_proj = {"latents": matrix(1, 16, dim)} | linear("proj_in", dim, VISION_DIM)
        image_proj |= linear("proj_out", cross_dim, dim) | norm("norm_out", cross_dim)
        for block in range(4):
            name = f"layers.{block}"
            image_proj |= norm(f"{name}.0.norm1", dim) | norm(f"{name}.0.norm2", dim) | norm(f"{name}.1.0", dim)
            image_proj |= {f"{name}.0.to_q.weight": matrix(dim, dim), f"{name}.0.to_kv.weight": matrix(2 * dim, dim)}
            image_proj |= {f"{name}.0.to_out.weight": matrix(dim, dim)}
            image_proj |= {f"{name}.1.1.weight": matrix(4 * dim, dim), f"{name}.1.3.weight": matrix(dim, 4 * dim)}
    key_values = {
        f"{2 * index + 1}.to_{part}_ip.weight": matrix(width, cross_dim)
        for index, width in enumerate(widths)
        for part in "kv"
    }
    return {"image_proj": image_proj, "ip_adapter": key_values}
