"""A reference that was seen before, against encoding it. Inside ComfyUI."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import real_size
import torch
from counting import seconds

from comfy_nodes.outfit_tuner.feature_cache import FeatureCache
from comfy_nodes.outfit_tuner.features import encode
from comfy_nodes.outfit_tuner.sockets import Reference, ReferenceFeatures
from comfy_nodes.outfit_tuner.vision import ComfyEncoder


def reference(seed: int = 1) -> Reference:
    image = torch.rand(1, 1024, 1024, 3, generator=torch.Generator().manual_seed(seed))
    return Reference(image, None, f"{seed:064x}", "pad")


def seen() -> ReferenceFeatures:
    return encode(ComfyEncoder(real_size.encoder(), "random"), FeatureCache(None), reference())


def measure() -> dict[str, Any]:
    encoder, folder = ComfyEncoder(real_size.encoder(), "random"), Path(os.environ["BENCH_FOLDER"]) / "features"
    kept = FeatureCache(folder)
    encode(encoder, kept, reference(1))
    new = [seconds(lambda seed=seed: encode(encoder, kept, reference(seed))) for seed in (2, 3, 4)]
    known = reference(2)
    memory = seconds(lambda: encode(encoder, kept, known), 20)
    disk = seconds(lambda: encode(encoder, FeatureCache(folder), known), 20)
    encoding = sorted(new)[1]
    return {
        "encode_seconds": encoding,
        "cached_reference_speedup": encoding / disk,
        "cached_reference_speedup_in_memory": encoding / memory,
    }
