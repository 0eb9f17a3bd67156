"""Real samplings, where a model call's chunks are not the usual two: what must come out the same, and what must not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import comfy_extras.nodes_custom_sampler as nodes_custom_sampler  # pyright: ignore[reportMissingImports] # no stub
import comfy_extras.nodes_perpneg as nodes_perpneg  # pyright: ignore[reportMissingImports] # no stub
import comfy_extras.nodes_sag as nodes_sag  # pyright: ignore[reportMissingImports] # no stub
import sampling
import tiny
import torch

import comfy.model_management
from comfy_nodes.outfit_tuner.patch import OutfitPatch
from comfy_nodes.outfit_tuner.tuning import Behaviour, TuningValues

LATENT = (1, 16, 16)
POSITIVE, NEGATIVE = sampling.text(sampling.POSITIVE_SEED), sampling.text(sampling.NEGATIVE_SEED)
BEHAVIOURS: tuple[Behaviour, ...] = ("ipadapter_plus", "reference")
Found = dict[str, Any]


def outfit(behaviour: Behaviour = "reference", mask: torch.Tensor | None = None, **more: Any) -> Any:
    values: dict[str, Any] = {"weight": 0.8, "end_at": 1.0, "behaviour": behaviour}
    return sampling.dressed(TuningValues(**values | more), kind="full", mask=mask)


def guided(guider: Any, conditionings: tuple[Any, ...], scales: tuple[Any, ...]) -> torch.Tensor:
    guider.set_conds(*conditionings)
    guider.set_cfg(*scales)
    return sampling.run(guider, LATENT)


def dual_cfg() -> Iterator[tuple[str, Found]]:
    """With its middle prompt equal to its negative one, it is cfg by its first scale."""
    guider = nodes_custom_sampler.Guider_DualCFG
    for nested in (False, True):
        scales = (4.0, 1.0 if nested else 3.0, nested)
        found = guided(guider(outfit()), (POSITIVE, NEGATIVE, NEGATIVE), scales)
        yield f"DualCFG, nested {nested}", {"difference": sampling.difference(found, sampling.sample(outfit(), LATENT))}


def perp_neg() -> Iterator[tuple[str, Found]]:
    """With its empty prompt equal to its negative one, it is cfg. The old node's empty prompt bypasses the guider."""
    wanted = sampling.sample(outfit(), LATENT)
    found = guided(nodes_perpneg.Guider_PerpNeg(outfit()), (POSITIVE, NEGATIVE, NEGATIVE), (4.0, 0.7))
    yield "PerpNeg", {"difference": sampling.difference(found, wanted)}
    patched = nodes_perpneg.PerpNeg.execute(outfit(), NEGATIVE, 0.7).args[0]
    yield "the old PerpNeg", {"difference": sampling.difference(sampling.sample(patched, LATENT), wanted)}


def positives() -> Iterator[tuple[str, Found]]:
    """Two equal positives are one; at cfg 1 there is no negative side to draw."""
    for behaviour in BEHAVIOURS:
        patched = outfit(behaviour)
        for cfg in (1.0, 4.0):
            wanted = sampling.sample(patched, LATENT, cfg)
            found = sampling.sample(patched, LATENT, cfg, POSITIVE + POSITIVE)
            yield f"two positives, cfg {cfg}, {behaviour}", {"difference": sampling.difference(found, wanted)}


def areas() -> Iterator[tuple[str, Found]]:
    """A prompt for the right half, and a mask that is white in the left quarter: the right half has no outfit."""
    mask = torch.zeros(1, 32, 32)
    mask[:, :, :8] = 1
    right = sampling.text(sampling.POSITIVE_SEED, area=(16, 8, 0, 8), strength=1.0)
    bare = sampling.sample(sampling.model("sd15"), LATENT, 1.0, right)[..., 8:]
    found = sampling.sample(outfit("reference", mask), LATENT, 1.0, right)[..., 8:]
    squeezed = sampling.sample(outfit("ipadapter_plus", mask), LATENT, 1.0, right)[..., 8:]
    yield "an area outside the mask", {"difference": sampling.difference(found, bare)}
    yield "an area outside the mask, squeezed into it", {"worn": sampling.difference(squeezed, bare)}
    whole = sampling.sample(outfit("reference"), LATENT, 4.0, POSITIVE + right)
    masked = sampling.sample(outfit("reference", torch.ones(1, 32, 32)), LATENT, 4.0, POSITIVE + right)
    yield "a white mask with an area is no mask", {"difference": sampling.difference(masked, whole)}


def self_attention_guidance() -> Iterator[tuple[str, Found]]:
    """It runs the negative prompt alone, at position 0, which is a positive one's."""
    seen: list[tuple[Any, tuple[int, ...]]] = []
    call = OutfitPatch._call

    def noted(self: OutfitPatch, latent: torch.Tensor, options: Any) -> Any:
        made = call(self, latent, options)
        seen.append((options["cond_or_uncond"], made.sides))
        return made

    OutfitPatch._call = noted
    try:
        patched = nodes_sag.SelfAttentionGuidance.execute(outfit(), 0.5, 2.0).args[0]
        sampling.sample(patched, LATENT)
    finally:
        OutfitPatch._call = call
    yield "self-attention guidance", {"seen": seen}


def windows() -> Iterator[tuple[str, Found]]:
    """How many of 25 steps are inside end_at 0.8, by scheduler."""
    patch = outfit(end_at=0.8).wrappers["diffusion_model"]["vestige_outfit"][0]
    for scheduler in ("normal", "karras", "exponential", "sgm_uniform"):
        steps = sampling.sigmas(sampling.model("sd15"), 25, scheduler)[:-1]
        yield f"steps with {scheduler}", {"steps": sum(patch.window.holds({"sigmas": sigma[None]}) for sigma in steps)}


def outside() -> Iterator[tuple[str, Found]]:
    """Where the reference is never seen, not a number of the picture is another one."""
    bare = sampling.sample(sampling.model("sd15"), LATENT, steps=3)
    found = sampling.sample(outfit(start_at=1.0, end_at=1.0), LATENT, steps=3)
    yield "never inside", {"equal": torch.equal(found, bare)}
    nothing = outfit(weight=0.0)
    yield "weight 0", {"equal": torch.equal(sampling.sample(nothing, LATENT, steps=3), bare)}


def precisions() -> Iterator[tuple[str, Found]]:
    """In half precision the picture is close to that in full; keys and values are stored as the layers want them."""
    for behaviour in BEHAVIOURS:
        wanted = sampling.sample(outfit(behaviour), LATENT)
        for dtype in (torch.float16, torch.bfloat16):
            half = sampling.dressed(
                TuningValues(weight=0.8, end_at=1.0, behaviour=behaviour), kind="full", on=tiny.unet("sd15", dtype)
            )
            stored = half.additional_models["vestige_outfit"][0].model
            found = sampling.sample(half, LATENT)
            name = str(dtype).removeprefix("torch.")
            yield (
                f"{name}, {behaviour}",
                {
                    "difference": sampling.difference(found, wanted),
                    "stored": sorted({str(parameter.dtype) for parameter in stored.parameters()}),
                },
            )


def memory() -> Iterator[tuple[str, Found]]:
    """Model management loads the keys and values with the model, and knows their size."""
    patched = outfit()
    sampling.sample(patched, LATENT)
    (patcher,) = patched.get_nested_additional_models()
    loaded = [entry.model for entry in comfy.model_management.current_loaded_models]
    yield (
        "model management",
        {
            "loaded": any(model is not None and model.is_clone(patcher) for model in loaded),
            "size": patcher.model_size(),
            "bytes": patcher.model.bytes(),
        },
    )


def results() -> Iterator[tuple[str, Found]]:
    parts: tuple[Callable[[], Iterator[tuple[str, Found]]], ...] = (
        dual_cfg, perp_neg, positives, areas, self_attention_guidance, windows, outside, precisions, memory,
    )  # fmt: skip
    for part in parts:
        yield from part()
