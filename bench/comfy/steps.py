"""A sampling step at SDXL's depth: operations, linear layers, host synchronisations, seconds. Inside ComfyUI."""

from __future__ import annotations

import os
from typing import Any

import sampling
import torch
from counting import LINEAR, SYNC, counted, seconds
from wearing import VARIANTS, ours, theirs

FEW, MANY = 2, 6
ROUNDS = 7


def measure() -> dict[str, Any]:
    if os.environ["BENCH_DEVICE"] == "cuda":
        import full_size

        return full_size.measure()
    model, picture = sampling.model("sdxl"), sampling.pictures(1)
    models, features = sampling.outfit_models("sdxl", "plus"), sampling.features(1)
    weights, encoder = sampling.weights("sdxl", "plus"), sampling.vision()
    worn = {
        "none": model,
        "ours": ours(model, models, features),
        "ipadapter_plus": theirs(model.clone(), weights, encoder, picture),
    }
    resting = {
        "ours": ours(model, models, features, end_at=0.01),
        "ipadapter_plus": theirs(model.clone(), weights, encoder, picture, end_at=0.01),
    }
    found: dict[str, Any] = {}
    for name in VARIANTS:
        _sample(worn[name], 1)
        found |= _per_step(worn[name], name)
    for name, patched in resting.items():
        found |= {f"{key}_outside": value for key, value in _per_step(patched, name).items() if "linears" not in key}
    taken = {name: [] for name in VARIANTS}
    for _ in range(ROUNDS):  # in turns, so that a busy moment of the machine meets all of them
        for name in VARIANTS:
            taken[name].append(seconds(lambda patched=worn[name]: _sample(patched, MANY)) / MANY)
    times = {name: sorted(values)[ROUNDS // 2] for name, values in taken.items()}
    added = found["ops"] - found["ops_none"]
    return found | {
        "added_ops_over_ipadapter_plus": added / (found["ops_ipadapter_plus"] - found["ops_none"]),
        "step_over_none": times["ours"] / times["none"],
        "step_over_none_ipadapter_plus": times["ipadapter_plus"] / times["none"],
        "torch": torch.__version__,
    }


def _per_step(patched: Any, name: str) -> dict[str, float]:
    """The difference between many steps and few: what happens once per sampling drops out."""
    few, many = (counted(lambda steps=steps: _sample(patched, steps)) for steps in (FEW, MANY))
    end = "" if name == "ours" else f"_{name}"

    def each(names: tuple[str, ...]) -> float:
        return (many.of(names) - few.of(names)) / (MANY - FEW)

    return {
        f"ops{end}": each(tuple(many.by_name)),
        f"linears{end}": each(LINEAR),
        f"syncs_per_step{end}": each(SYNC),
    }


def _sample(patched: Any, steps: int) -> None:
    positive, negative = sampling.text(1, "sdxl"), sampling.text(2, "sdxl")
    sampling.sample(patched, (1, 16, 16), positive=positive, negative=negative, steps=steps)
