"""Tiny image encoders for ComfyUI's CLIP-vision loader, which knows the sizes of the published ones only."""

from __future__ import annotations

import json
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import comfy.clip_vision
import torch

HEADS = 2  # the one size that the shapes do not tell
WIDTH = "vision_model.embeddings.class_embedding"
LARGEST = 256  # channels; the smallest published one has 768


def teach_the_loader() -> None:
    """ComfyUI loads encoders of few channels too, with their sizes read from the weights."""
    load_published = comfy.clip_vision.load_clipvision_from_sd

    @wraps(load_published)
    def load(sd: dict[str, torch.Tensor], *args: Any, **kwargs: Any) -> comfy.clip_vision.ClipVisionModel | None:
        if WIDTH not in sd or sd[WIDTH].shape[0] > LARGEST:
            return load_published(sd, *args, **kwargs)
        with TemporaryDirectory() as folder:
            config = Path(folder) / "sizes.json"
            config.write_text(json.dumps(_sizes(sd)), encoding="utf-8")
            encoder = comfy.clip_vision.ClipVisionModel(str(config))
        missing, unexpected = encoder.load_sd(sd)
        if missing or unexpected:
            raise ValueError(f"no whole encoder: {missing} missing, {unexpected} unexpected")
        return encoder

    comfy.clip_vision.load_clipvision_from_sd = load


def _sizes(sd: dict[str, torch.Tensor]) -> dict[str, Any]:
    patches = sd["vision_model.embeddings.patch_embedding.weight"]
    tokens = sd["vision_model.embeddings.position_embedding.weight"].shape[0]
    layers = {name.split(".")[3] for name in sd if name.startswith("vision_model.encoder.layers.")}
    return {
        "model_type": "clip_vision_model",
        "hidden_act": "gelu",
        "hidden_size": sd[WIDTH].shape[0],
        "intermediate_size": sd["vision_model.encoder.layers.0.mlp.fc1.weight"].shape[0],
        "num_hidden_layers": len(layers),
        "num_attention_heads": HEADS,
        "num_channels": patches.shape[1],
        "patch_size": patches.shape[2],
        "image_size": round((tokens - 1) ** 0.5) * patches.shape[2],
        "projection_dim": sd["visual_projection.weight"].shape[0],
    }
