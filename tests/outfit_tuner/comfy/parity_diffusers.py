"""The `reference` behaviour and diffusers' IP-Adapter, on UNets with the same weights."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from typing import Any

import sampling
import tiny
import torch
from diffusers import UNet2DConditionModel  # pyright: ignore[reportMissingImports] # ComfyUI's Python has it

import comfy.utils
from comfy_nodes.outfit_tuner.adapters import Kind
from comfy_nodes.outfit_tuner.tuning import TuningValues

TIMESTEP = 741.0
CONFIGS: dict[str, dict[str, Any]] = {
    "sd15": {
        "block_out_channels": (32, 64, 128, 128),
        "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        "attention_head_dim": 4,
        "cross_attention_dim": 768,
    },
    "sdxl": {
        "block_out_channels": (32, 64, 128),
        "down_block_types": ("DownBlock2D",) + ("CrossAttnDownBlock2D",) * 2,
        "up_block_types": ("CrossAttnUpBlock2D",) * 2 + ("UpBlock2D",),
        "attention_head_dim": (1, 2, 4),
        "cross_attention_dim": 2048,
        "transformer_layers_per_block": (1, 2, 10),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 2,
        "projection_class_embeddings_input_dim": 16,
    },
}


@lru_cache
def theirs(family: str) -> Any:
    ours = sampling.model(family).model.diffusion_model
    unet = UNet2DConditionModel(sample_size=16, in_channels=4, out_channels=4, layers_per_block=2, **CONFIGS[family])
    names = comfy.utils.unet_to_diffusers(tiny.SDXL_UNET if family == "sdxl" else tiny.SD15_UNET)
    weights = ours.state_dict()
    renamed = {key.replace("class_embedding", "add_embedding"): weights.get(name) for key, name in names.items()}
    unet.load_state_dict({key: weight for key, weight in renamed.items() if weight is not None})
    return unet.eval()


def extras(family: str) -> dict[str, Any]:
    """SDXL's size and pooled text, made to be the same 16 numbers on both sides."""
    return {"text_embeds": torch.ones(2, 4), "time_ids": torch.zeros(2, 6)} if family == "sdxl" else {}


def by_diffusers(family: str, kind: Kind, references: int, weight: float, mask: torch.Tensor | None) -> torch.Tensor:
    unet, features = theirs(family), sampling.features(references)
    unet._load_ip_adapter_weights([sampling.weights(family, kind)])
    for processor in unet.attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale = [weight]
    positive = features.pooled if kind == "plain" else features.hidden
    negative = torch.zeros_like(positive) if kind == "plain" else features.blank_hidden_pixels.expand_as(positive)
    embeds = {"image_embeds": [torch.stack((negative, positive))]}
    masks = None if mask is None else {"ip_adapter_masks": [mask.unsqueeze(1)]}
    latent, context = inputs(family)
    return unet(
        latent, TIMESTEP, encoder_hidden_states=context, added_cond_kwargs=embeds | extras(family),
        cross_attention_kwargs=masks,
    ).sample  # fmt: skip


def by_us(family: str, kind: Kind, references: int, weight: float, mask: torch.Tensor | None) -> torch.Tensor:
    values = TuningValues(weight=weight, end_at=1.0, behaviour="reference")
    patched = sampling.dressed(values, family=family, kind=kind, references=references, mask=mask)
    latent, context = inputs(family)
    options = {"wrappers": patched.wrappers, "cond_or_uncond": [1, 0]}
    # text_time: the pooled text, then sine and cosine of each of six sizes of zero: cos 0 = 1, sin 0 = 0
    y = torch.cat((torch.ones(2, 4), torch.tensor([[1.0, 0.0] * 6] * 2)), 1) if family == "sdxl" else None
    unet = patched.model.diffusion_model
    return unet(latent, torch.tensor([TIMESTEP] * 2), context=context, y=y, transformer_options=options)


def inputs(family: str) -> tuple[torch.Tensor, torch.Tensor]:
    latent = sampling.noise((1, 16, 16)).repeat(2, 1, 1, 1)
    seeds = (sampling.NEGATIVE_SEED, sampling.POSITIVE_SEED)
    return latent, torch.cat([sampling.text(seed, family)[0][0] for seed in seeds])


def results() -> Iterator[tuple[str, dict[str, Any]]]:
    """`difference` between the two, and from the UNet without an adapter, `worn`."""
    kinds: tuple[Kind, ...] = ("plain", "full", "plus")
    cases: list[tuple[str, Kind, int, float, int]] = [
        ("sd15", kind, references, 0.6, 0) for kind, references in product(kinds, (1, 3))
    ]
    cases.extend([("sd15", "plain", 1, 1.0, 0), ("sd15", "plain", 1, 0.6, 1), ("sd15", "plus", 1, -0.4, 1)])
    cases.extend([("sdxl", "plain", 3, 0.6, 0), ("sdxl", "plus", 1, 0.6, 0)])
    for family, kind, references, weight, masks in cases:
        # a square mask, for diffusers guesses a layer's grid from the mask's proportions
        mask = sampling.mask(1)[:, :, :40] if masks else None  # pyright: ignore[reportOptionalSubscript] # one was asked for
        wanted = by_diffusers(family, kind, references, weight, mask)
        bare = by_us(family, kind, references, 0.0, mask)
        found = {"difference": sampling.difference(by_us(family, kind, references, weight, mask), wanted)}
        name = f"{family} {kind}, {references} references, weight {weight}{', mask' if masks else ''}"
        yield name, found | {"worn": sampling.difference(bare, wanted)}
