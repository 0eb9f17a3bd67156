"""A thousand changes of the numbers on one cached chain."""

from __future__ import annotations

import gc
import resource
import tracemalloc
from collections.abc import Iterator
from typing import Any

import sampling
import torch

import comfy.model_management
from comfy_nodes.outfit_tuner import apply
from comfy_nodes.outfit_tuner.tuning import SCALINGS, TuningValues

CHANGES, LATENT = 1000, (1, 8, 8)


def values(change: int) -> TuningValues:
    weight, end = divmod(change, 20)
    scaling = SCALINGS[change % 4]
    return TuningValues(weight=0.05 + 0.05 * (weight % 20), end_at=0.05 + 0.05 * end, embeds_scaling=scaling)


def installed(model: Any) -> int:
    """How many things of ours lie on a model."""
    wrappers = sum(len(found) for kinds in model.wrappers.values() for found in kinds.values())
    replaced = model.model_options["transformer_options"].get("patches_replace", {}).get("attn2", {})
    return wrappers + len(replaced) + sum(map(len, model.additional_models.values()))


def kilobytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def sweep() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each change is a new clone of the same model, as ComfyUI's cache gives it to Apply Outfit, and draws a picture
    now and then; the one before is dropped."""
    apply.forget_key_values()
    chain = sampling.model("sd15").clone()
    first = sampling.sample(sampling.dressed(values(0), on=chain), LATENT)
    on_first = installed(sampling.dressed(values(0), on=chain))
    dressed: Any = None
    for change in range(100):
        dressed = sampling.dressed(values(change), on=chain)
        if change % 20 == 0:
            sampling.sample(dressed, LATENT)
    gc.collect()
    objects, peak, most = len(gc.get_objects()), kilobytes(), 0
    loaded = len(comfy.model_management.current_loaded_models)
    for change in range(CHANGES):
        dressed = sampling.dressed(values(change), on=chain)
        most = max(most, installed(dressed))
        if change % 50 == 0:
            sampling.sample(dressed, LATENT)
    gc.collect()
    yield (
        "a thousand changes",
        {
            "objects": len(gc.get_objects()) - objects,
            "kilobytes": kilobytes() - peak,
            "on the first": on_first,
            "at most": most,
            "on the chain": installed(chain),
            "cached": len(apply._key_values),
            "loaded": len(comfy.model_management.current_loaded_models) - loaded,
        },
    )
    again = sampling.sample(sampling.dressed(values(0), on=chain), LATENT)
    yield "going back", {"equal": torch.equal(again, first)}
    apply.forget_key_values()
    fresh = sampling.sample(sampling.dressed(values(0), on=chain), LATENT)
    yield "with nothing cached", {"equal": torch.equal(fresh, first)}


def clones() -> Iterator[tuple[str, dict[str, Any]]]:
    """What the tenth clone of a model in an outfit costs, and whether all of them share the keys and values."""
    model = sampling.dressed(values(7))
    kept = [model]
    for _ in range(9):
        kept.append(kept[-1].clone())
    tracemalloc.start()
    before = kilobytes()
    kept.append(kept[-1].clone())
    python, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    patches = {id(clone.wrappers["diffusion_model"]["vestige_outfit"][0]) for clone in kept}
    stored = {id(clone.additional_models["vestige_outfit"][0].model) for clone in kept}
    yield "the tenth clone", {
        "python_bytes": python, "kilobytes": kilobytes() - before, "patches": len(patches), "stored": len(stored)
    }  # fmt: skip


def results() -> Iterator[tuple[str, dict[str, Any]]]:
    yield from sweep()
    yield from clones()
