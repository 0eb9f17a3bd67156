"""Pictures of the tiny models, by ComfyUI's own samplers and the pack's own parts."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import tiny
import torch

import comfy.samplers
from comfy_nodes.outfit_tuner.adapters import Adapter, Kind, Layout
from comfy_nodes.outfit_tuner.apply import apply_outfit
from comfy_nodes.outfit_tuner.layers import cross_attention_layers
from comfy_nodes.outfit_tuner.sockets import OutfitModels, ReferenceFeatures
from comfy_nodes.outfit_tuner.tuning import Tuning, TuningValues

POSITIVE_SEED, NEGATIVE_SEED, NOISE_SEED = 11, 12, 13
CPU = torch.device("cpu")
Weights = dict[str, dict[str, torch.Tensor]]


@lru_cache
def model(family: str) -> Any:
    return tiny.unet(family)


@lru_cache
def vision() -> Any:
    return tiny.vision()


@lru_cache(maxsize=1)
def weights(family: str, kind: str) -> Weights:
    """An adapter's, as IPAdapter_plus loads them. One at a time: a resampler of real size is large."""
    layers = cross_attention_layers(model(family).model.diffusion_model)
    return tiny.adapter_weights(kind, tuple(layer.width for layer in layers), layers[0].context_dim)


def outfit_models(family: str, kind: Kind) -> OutfitModels:
    loaded = weights(family, kind)
    names = [f"{2 * index + 1}.to_{{}}_ip.weight" for index in range(len(loaded["ip_adapter"]) // 2)]
    pairs = tuple((loaded["ip_adapter"][name.format("k")], loaded["ip_adapter"][name.format("v")]) for name in names)
    layout = Layout(
        kind=kind,
        embed_dim=tiny.VISION_PROJECTION if kind == "plain" else tiny.VISION_DIM,
        cross_dim=pairs[0][0].shape[1],
        tokens={"plain": 4, "plus": 16}.get(kind),
        widths=tuple(keys.shape[0] for keys, _ in pairs),
    )
    return OutfitModels(Adapter(f"{family} {kind}", layout, loaded["image_proj"], pairs), vision(), "vision")


@lru_cache
def pictures(count: int) -> torch.Tensor:
    """`[count, 224, 224, 3]`."""
    return torch.rand(count, 224, 224, 3, generator=torch.Generator().manual_seed(21))


@lru_cache
def features(references: int, weights: tuple[float, ...] = ()) -> ReferenceFeatures:
    seen = vision().encode_image(pictures(references))
    black = vision().encode_image(torch.zeros(1, 224, 224, 3)).penultimate_hidden_states
    nothing = vision().model(pixel_values=torch.zeros(1, 3, 224, 224), intermediate_output=-2)[1]
    shares = weights or (1.0,) * references
    return ReferenceFeatures(
        seen.image_embeds, seen.penultimate_hidden_states, black, nothing, shares, f"{references} pictures"
    )


@lru_cache
def mask(count: int) -> torch.Tensor | None:
    """`[count, 40, 56]`, black and white at random; None for no mask."""
    return torch.rand(count, 40, 56, generator=torch.Generator().manual_seed(31)).round() if count else None


def dressed(
    values: TuningValues,
    *,
    family: str = "sd15",
    kind: Kind = "plain",
    references: int = 1,
    weights: tuple[float, ...] = (),
    on: Any = None,
    mask: torch.Tensor | None = None,
) -> Any:
    """A model with an outfit, by the pack."""
    bare = on if on is not None else model(family)
    return apply_outfit(bare, outfit_models(family, kind), features(references, weights), Tuning(values), mask)


def text(seed: int, family: str = "sd15", **more: Any) -> list[Any]:
    """A conditioning with random text embeddings."""
    dim = 2048 if family == "sdxl" else 768
    embeds = torch.randn(1, 77, dim, generator=torch.Generator().manual_seed(seed))
    return [[embeds, {"pooled_output": torch.zeros(1, 16)} | more]]


def noise(latent: tuple[int, int, int]) -> torch.Tensor:
    pictures, height, width = latent
    return torch.randn(pictures, 4, height, width, generator=torch.Generator().manual_seed(NOISE_SEED))


def sigmas(patched: Any, steps: int, scheduler: str = "normal") -> torch.Tensor:
    return comfy.samplers.calculate_sigmas(patched.get_model_object("model_sampling"), scheduler, steps)


def run(guider: Any, latent: tuple[int, int, int], steps: int = 1) -> torch.Tensor:
    """A latent `[pictures, 4, height, width]`, by a guider that has its conditionings."""
    start = noise(latent)
    sampler = comfy.samplers.sampler_object("euler")
    return guider.sample(
        start, torch.zeros_like(start), sampler, sigmas(guider.model_patcher, steps), disable_pbar=True, seed=1
    )


def sample(
    patched: Any,
    latent: tuple[int, int, int] = (1, 8, 8),
    cfg: float = 4.0,
    positive: list[Any] | None = None,
    negative: list[Any] | None = None,
    steps: int = 1,
) -> torch.Tensor:
    """A latent as a KSampler makes it."""
    guider = comfy.samplers.CFGGuider(patched)
    guider.set_conds(positive or text(POSITIVE_SEED), negative or text(NEGATIVE_SEED))
    guider.set_cfg(cfg)
    return run(guider, latent, steps)


def difference(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """The largest, relative to the largest number wanted."""
    return float((found.double() - wanted.double()).abs().max() / wanted.double().abs().max())
