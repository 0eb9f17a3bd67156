"""The same outfit three ways: no adapter, ours, IPAdapter_plus. Inside ComfyUI."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import child
import torch

from comfy_nodes.outfit_tuner.apply import apply_outfit
from comfy_nodes.outfit_tuner.sockets import OutfitModels, ReferenceFeatures
from comfy_nodes.outfit_tuner.tuning import Tuning, TuningValues

child.load_package("ipadapter_plus_pack", Path(os.environ["IPADAPTER_PLUS_DIR"]))
plus: Any = sys.modules["ipadapter_plus_pack.IPAdapterPlus"]

VARIANTS = ("none", "ours", "ipadapter_plus")


def ours(
    model: Any, models: OutfitModels, features: ReferenceFeatures, *, weight: float = 0.6, end_at: float = 1.0
) -> Any:
    """As Apply Outfit does it."""
    return apply_outfit(model, models, features, Tuning(TuningValues(weight=weight, end_at=end_at)))


def theirs(
    model: Any, weights: Any, encoder: Any, picture: torch.Tensor, *, weight: float = 0.6, end_at: float = 1.0
) -> Any:
    """As IPAdapter Advanced does it."""
    return plus.IPAdapterAdvanced().apply_ipadapter(
        model, weights, image=picture, clip_vision=encoder, weight=weight, weight_type="linear", start_at=0.0,
        end_at=end_at, combine_embeds="concat", embeds_scaling="V only",
    )[0]  # fmt: skip
