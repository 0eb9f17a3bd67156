"""Next to other packs' attention patches, before and after them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import child
import sampling
import torch

from comfy.ldm.modules.attention import optimized_attention
from comfy_nodes.outfit_tuner.tuning import TuningValues

VALUES = TuningValues(weight=0.5, end_at=1.0)
LATENT = (1, 16, 16)


def theirs(model: Any) -> Any:
    name = "ipadapter_plus_pack"
    if name not in sys.modules:
        child.load_package(name, Path(os.environ["IPADAPTER_PLUS_DIR"]))
    plus: Any = sys.modules[f"{name}.IPAdapterPlus"]
    weights = sampling.weights("sd15", "plain")
    return plus.IPAdapterAdvanced().apply_ipadapter(
        model.clone(), weights, image=sampling.pictures(1), clip_vision=sampling.vision(), weight=0.5
    )[0]


def ours(model: Any) -> Any:
    return sampling.dressed(VALUES, on=model)


def muted(model: Any) -> Any:
    """A pack that replaces the attention of one block, whatever was there."""

    def quiet(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, options: dict[str, Any]) -> torch.Tensor:
        return 0.25 * optimized_attention(q, k, v, options["n_heads"])

    patched = model.clone()
    patched.set_model_attn2_replace(quiet, "input", 4)
    return patched


def results() -> Iterator[tuple[str, dict[str, Any]]]:
    bare = sampling.model("sd15")
    twice = sampling.sample(theirs(theirs(bare)), LATENT)
    once = sampling.sample(ours(bare), LATENT)
    both = {
        "theirs on ours": theirs(ours(bare)),
        "ours on theirs": ours(theirs(bare)),
        "ours on ours": ours(ours(bare)),
    }
    for name, patched in both.items():
        found = sampling.sample(patched, LATENT)
        yield name, {"difference": sampling.difference(found, twice), "worn": sampling.difference(once, twice)}
    first, last = sampling.sample(ours(muted(bare)), LATENT), sampling.sample(muted(ours(bare)), LATENT)
    yield (
        "another pack's replacement, before and after",
        {
            "difference": sampling.difference(first, last),
            "worn": min(
                sampling.difference(sampling.sample(muted(bare), LATENT), first), sampling.difference(once, first)
            ),
        },
    )
