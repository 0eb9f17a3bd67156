"""Every case of `cases.py` by IPAdapter_plus and by the pack, on the same model in the same process.

`PARITY=all` in the environment takes the whole grid instead of a quarter of it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import child
import sampling
import torch
from cases import ALL_CASES, CASES, Case

from comfy_nodes.outfit_tuner.tuning import TuningValues

child.load_package("ipadapter_plus_pack", Path(os.environ["IPADAPTER_PLUS_DIR"]))
plus: Any = sys.modules["ipadapter_plus_pack.IPAdapterPlus"]


def ours(case: Case) -> Any:
    values: Any = {name: getattr(case, name) for name in ("weight", "start_at", "end_at", "weight_type", "combine")}
    kind: Any = case.kind
    return sampling.dressed(
        TuningValues(**values, embeds_scaling=case.scaling, layer_weights=case.layer_weights),  # pyright: ignore[reportArgumentType] # one of the table's
        family=case.family, kind=kind, references=case.references, weights=case.weights, mask=sampling.mask(case.masks),
    )  # fmt: skip


def theirs(case: Case) -> Any:
    bare, weights = sampling.model(case.family).clone(), sampling.weights(case.family, case.kind)
    images, encoder = sampling.pictures(case.references), sampling.vision()
    values: dict[str, Any] = {
        name: getattr(case, name) for name in ("weight", "start_at", "end_at", "weight_type", "layer_weights")
    }
    values |= {
        "combine_embeds": case.combine, "embeds_scaling": case.scaling, "attn_mask": sampling.mask(case.masks)
    }  # fmt: skip
    if not case.weights:
        return plus.IPAdapterAdvanced().apply_ipadapter(bare, weights, image=images, clip_vision=encoder, **values)[0]
    parts = zip(images.split(1), case.weights, strict=True)
    embeds = [plus.IPAdapterEncoder().encode(weights, one, share, clip_vision=encoder)[0] for one, share in parts]
    return plus.ipadapter_execute(bare, weights, encoder, pos_embed=torch.cat(embeds), **values)[0]


def conditionings(case: Case) -> list[Any]:
    area = {"area": case.area} if case.area else {}
    first, *others = [sampling.POSITIVE_SEED, *range(100, 99 + case.positives)]
    positive = sampling.text(first, case.family)
    for seed in others:
        positive = positive + sampling.text(seed, case.family, **area)
    return positive


def picture(case: Case, patched: Any) -> torch.Tensor:
    steps = 1 if (case.start_at, case.end_at) == (0.0, 1.0) else 4
    negative = sampling.text(sampling.NEGATIVE_SEED, case.family)
    return sampling.sample(patched, case.latent, case.cfg, conditionings(case), negative, steps)


@lru_cache
def bare_picture(case: Case) -> torch.Tensor:
    return picture(case, sampling.model(case.family))


def results() -> Iterator[tuple[str, dict[str, Any]]]:
    """`difference` between the two, and from a picture without an adapter, `worn`."""
    cases = ALL_CASES if os.environ.get("PARITY") == "all" else CASES
    for case in sorted(cases, key=lambda case: (case.family, case.kind)):
        wanted = picture(case, theirs(case))
        same = ("family", "latent", "cfg", "positives", "area", "start_at", "end_at")  # what a bare picture depends on
        bare = bare_picture(Case(**{name: getattr(case, name) for name in same}))
        found = {"difference": sampling.difference(picture(case, ours(case)), wanted)}
        yield case.name, found | {"worn": sampling.difference(bare, wanted)}
