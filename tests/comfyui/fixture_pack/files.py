"""Checkpoints and LoRAs of the tiny models, as trained ones lie on a disk. Imported inside ComfyUI."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import comfy.sd
import folder_paths
import torch
from safetensors.torch import save_file

from .models import build

RANK = 2
# (file in models/loras, checkpoint whose shapes it has, what the trainer wrote as its architecture and base, seed)
LORAS = (
    ("mira_v1.safetensors", "tiny-sdxl", "sdxl_base_v1-0", "tiny-sdxl.safetensors", 1),
    ("mira_v2.safetensors", "tiny-sdxl", "sdxl_base_v1-0", "tiny-sdxl.safetensors", 2),
    ("vera_v1.safetensors", "tiny-sdxl", "sdxl_base_v1-0", "ponyDiffusionV6XL.safetensors", 3),
    ("otis_v1.safetensors", "tiny-sd15", "sd_v1", "tiny-sd15.safetensors", 4),
)
CHECKPOINTS = {"tiny-sdxl": "sdxl", "tiny-sd15": "sd15"}


def write_missing() -> None:
    checkpoints, loras = (Path(folder_paths.get_folder_paths(kind)[0]) for kind in ("checkpoints", "loras"))
    for folder in (checkpoints, loras):
        folder.mkdir(parents=True, exist_ok=True)
    for name, architecture in CHECKPOINTS.items():
        path = checkpoints / f"{name}.safetensors"
        if path.exists():
            continue
        model, clip, vae = build(architecture, seed=0)
        comfy.sd.save_checkpoint(str(path), model, clip, vae)
        base_hash = hashlib.sha256(path.read_bytes()).hexdigest()
        for lora, shaped_like, family, base, seed in LORAS:
            if shaped_like == name:
                header = _header(family, base, base_hash if base == path.name else "")
                save_file(_lora(model, clip, seed), loras / lora, metadata=header)


def _header(family: str, base: str, base_hash: str) -> dict[str, str]:
    """What kohya's trainer writes beside the weights, as far as somebody reads it."""
    architecture = "stable-diffusion-v1" if family == "sd_v1" else "stable-diffusion-xl-v1-base"
    return {
        "ss_base_model_version": family,
        "ss_sd_model_name": base,
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(RANK),
        "ss_network_alpha": str(RANK),
        "ss_new_sd_model_hash": base_hash,
        "modelspec.architecture": f"{architecture}/lora",
    }


def _lora(model: Any, clip: Any, seed: int) -> dict[str, torch.Tensor]:
    """A low-rank change of every attention and feed-forward matrix, by kohya's names."""
    generator = torch.Generator().manual_seed(seed)
    weights: dict[str, torch.Tensor] = {}
    for name, (out, into) in _matrices(model, clip):
        weights[f"{name}.lora_down.weight"] = torch.randn(RANK, into, generator=generator) * into**-0.5
        weights[f"{name}.lora_up.weight"] = torch.randn(out, RANK, generator=generator) * 0.1
        weights[f"{name}.alpha"] = torch.tensor(float(RANK))
    return {name: weight.half().contiguous() for name, weight in weights.items()}


def _matrices(model: Any, clip: Any) -> Iterator[tuple[str, tuple[int, int]]]:
    """`(kohya's name, (outputs, inputs))`."""
    for key, weight in model.model.diffusion_model.state_dict().items():
        if ".transformer_blocks." in key and weight.ndim == 2:
            yield "lora_unet_" + key.removesuffix(".weight").replace(".", "_"), tuple(weight.shape)
    text = clip.cond_stage_model
    towers = {"lora_te1_": "clip_l", "lora_te2_": "clip_g"} if hasattr(text, "clip_g") else {"lora_te_": "clip_l"}
    for prefix, tower in towers.items():
        for key, weight in getattr(text, tower).transformer.state_dict().items():
            if ".layers." in key and weight.ndim == 2:
                yield prefix + key.removesuffix(".weight").replace(".", "_"), tuple(weight.shape)
