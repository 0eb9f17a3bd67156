"""SDXL's real size on a GPU at 1024 × 1024, half precision, random weights: seconds a step and peak memory."""

from __future__ import annotations

from statistics import median
from typing import Any

import comfy.samplers
import real_size
import references
import tiny
import torch
from counting import seconds
from sampling import difference
from wearing import VARIANTS, ours, theirs

STEPS, ROUNDS = 8, 7


def measure() -> dict[str, Any]:
    worn = _worn(torch.float16)
    taken: dict[str, list[float]] = {name: [] for name in VARIANTS}
    peak: dict[str, int] = {}
    for name in VARIANTS:
        _sample(worn[name], 2)
    for _ in range(ROUNDS):  # in turns: clocks and temperatures meet all of them
        for name in VARIANTS:
            torch.cuda.reset_peak_memory_stats()
            taken[name].append(seconds(lambda patched=worn[name]: _sample(patched, STEPS)) / STEPS)
            peak[name] = torch.cuda.max_memory_allocated()
    step = {name: median(values) for name, values in taken.items()}
    found: dict[str, Any] = {f"step_ms_{name}": value * 1000 for name, value in step.items()}
    found |= {f"peak_mb_{name}": value / 1e6 for name, value in peak.items()}
    for dtype in (torch.float16, torch.bfloat16):
        found |= _alike(worn if dtype is torch.float16 else _worn(dtype), str(dtype).removeprefix("torch."))
    return found | {
        "step_over_none": step["ours"] / step["none"],
        "step_over_none_ipadapter_plus": step["ipadapter_plus"] / step["none"],
        "peak_over_none": peak["ours"] / peak["none"],
        "gpu": torch.cuda.get_device_name(),
        "torch": torch.__version__,
    }


def _worn(dtype: torch.dtype) -> dict[str, Any]:
    """Ours with the steps that IPAdapter_plus has, the middle block left out in both."""
    model = real_size.unet("cuda", dtype)
    tiny.fill(model.model.diffusion_model, 0)
    return {
        "none": model,
        "ours": ours(model, real_size.outfit_models(), references.seen()),
        "ipadapter_plus": theirs(model.clone(), real_size.their_weights(), real_size.encoder(), real_size.picture()),
    }


def _alike(worn: dict[str, Any], dtype: str) -> dict[str, float]:
    """How far the two packs' latents lie apart, and from none, relative to the largest number."""
    plus = _sample(worn["ipadapter_plus"], 2)
    return {
        f"difference_{dtype}": difference(_sample(worn["ours"], 2), plus),
        f"worn_{dtype}": difference(_sample(worn["none"], 2), plus),
    }


def _sample(patched: Any, steps: int) -> torch.Tensor:
    def text(seed: int) -> list[Any]:
        generator = torch.Generator().manual_seed(seed)
        embeds = torch.randn(1, 77, 2048, generator=generator)
        return [[embeds, {"pooled_output": torch.randn(1, 1280, generator=generator)}]]

    guider = comfy.samplers.CFGGuider(patched)
    guider.set_conds(text(1), text(2))
    guider.set_cfg(5.0)
    noise = torch.randn(1, 4, 128, 128, generator=torch.Generator().manual_seed(3))
    sigmas = comfy.samplers.calculate_sigmas(patched.get_model_object("model_sampling"), "karras", steps)
    sampler = comfy.samplers.sampler_object("euler")
    return guider.sample(noise, torch.zeros_like(noise), sampler, sigmas, disable_pbar=True, seed=1)
