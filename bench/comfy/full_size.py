"""SDXL's real size on a GPU at 1024 × 1024, half precision, random weights: seconds a step and peak memory.

With one picture a fast GPU waits for Python to launch its kernels; with several it is busy, as slower ones always are.
"""

from __future__ import annotations

from statistics import median
from typing import Any

import comfy.samplers
import real_size
import references
import torch
from counting import seconds
from sampling import difference
from wearing import VARIANTS, ours, theirs

FEW, MANY, ROUNDS = 2, 10, 5
PICTURES = (1, 4)


def measure() -> dict[str, Any]:
    model = _unet(torch.float16)
    worn = {
        "none": model,
        "ours": ours(model, real_size.outfit_models(), references.seen()),
        "ipadapter_plus": theirs(model.clone(), real_size.their_weights(), real_size.encoder(), real_size.picture()),
    }
    found: dict[str, Any] = {"gpu": torch.cuda.get_device_name(), "torch": torch.__version__}
    for pictures in PICTURES:
        found |= {f"{name}_{pictures}": value for name, value in _timed(worn, pictures).items()}
    plus = _sample(worn["ipadapter_plus"], 2)
    found["difference_float16"] = difference(_sample(worn["ours"], 2), plus)
    found["worn_float16"] = difference(_sample(worn["none"], 2), plus)
    # IPAdapter_plus fails in bfloat16 with a file in half precision, so ours is held against its half precision
    dressed = ours(_unet(torch.bfloat16), real_size.outfit_models(), references.seen())
    return found | {"difference_bfloat16": difference(_sample(dressed, 2), plus)}


def _unet(dtype: torch.dtype) -> Any:
    model = real_size.unet("cuda", dtype)
    generator = torch.Generator("cuda").manual_seed(0)
    for name, parameter in sorted(model.model.diffusion_model.named_parameters()):
        parameter.requires_grad_(False)
        if parameter.dim() > 1:
            noise = torch.randn(parameter.shape, generator=generator, device="cuda")
            parameter.copy_(noise / parameter[0].numel() ** 0.5)
        else:
            parameter.fill_(1.0 if name.endswith("weight") else 0.0)
    return model


def _timed(worn: dict[str, Any], pictures: int) -> dict[str, float]:
    """A step's time is the difference between many and few: what happens once per sampling drops out."""
    taken: dict[str, list[float]] = {name: [] for name in VARIANTS}
    peak: dict[str, int] = {}
    for name in VARIANTS:
        _sample(worn[name], FEW, pictures)
    for _ in range(ROUNDS):  # in turns: clocks and temperatures meet all of them
        for name in VARIANTS:
            torch.cuda.reset_peak_memory_stats()
            few, many = (
                seconds(lambda patched=worn[name], steps=steps: _sample(patched, steps, pictures))
                for steps in (FEW, MANY)
            )
            taken[name].append((many - few) / (MANY - FEW))
            peak[name] = torch.cuda.max_memory_allocated()
    step = {name: median(values) for name, values in taken.items()}
    return {
        **{f"step_ms_{name}": value * 1000 for name, value in step.items()},
        **{f"peak_mb_{name}": value / 1e6 for name, value in peak.items()},
        "step_over_none": step["ours"] / step["none"],
        "step_over_none_ipadapter_plus": step["ipadapter_plus"] / step["none"],
    }


def _sample(patched: Any, steps: int, pictures: int = 1) -> torch.Tensor:
    def text(seed: int) -> list[Any]:
        generator = torch.Generator().manual_seed(seed)
        embeds = torch.randn(1, 77, 2048, generator=generator)
        return [[embeds, {"pooled_output": torch.randn(1, 1280, generator=generator)}]]

    guider = comfy.samplers.CFGGuider(patched)
    guider.set_conds(text(1), text(2))
    guider.set_cfg(5.0)
    noise = torch.randn(pictures, 4, 128, 128, generator=torch.Generator().manual_seed(3))
    sigmas = comfy.samplers.calculate_sigmas(patched.get_model_object("model_sampling"), "karras", steps)
    sampler = comfy.samplers.sampler_object("euler")
    return guider.sample(noise, torch.zeros_like(noise), sampler, sigmas, disable_pbar=True, seed=1)
