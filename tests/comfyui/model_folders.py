"""The models folder of the tests' ComfyUI, but for checkpoints and LoRAs, which the fixture pack writes itself.

Adapters have the layout of published ones with the tiny models' few channels in each layer; encoders are CLIP vision
towers of a few channels. File names say nothing of what is in them, as they must not matter.
"""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file

from tests.outfit_tuner.model_files import Shapes, clip_vision, full, plain, plus, write_random

SDXL_WIDTHS = (64,) * 4 + (32,) * 50 + (64,) * 6 + (32,) * 10  # channels of each layer in `fixture_pack.models`
SD15_WIDTHS = (32,) * 16
ENCODER = {"hidden": 64, "layers": 3, "projection": 48, "feed_forward": 128}
OTHER_ENCODER = {"hidden": 96, "layers": 3, "projection": 80, "feed_forward": 128}

ADAPTERS: dict[str, Shapes] = {
    "coat.safetensors": plain(48, 2048, SDXL_WIDTHS),
    "hat.safetensors": plus(64, 2048, SDXL_WIDTHS, dim=64, heads=2, depth=2),
    "glove.safetensors": plain(48, 768, SD15_WIDTHS),
    "scarf.safetensors": full(64, 768, SD15_WIDTHS),
    "boot.safetensors": plain(80, 2048, SDXL_WIDTHS),  # for the other encoder
}
"""SDXL plain, SDXL plus, SD 1.5 plain, SD 1.5 full, and an SDXL plain one that fits `lens-b` only."""
ENCODERS = {"lens-a.safetensors": ENCODER, "lens-b.safetensors": OTHER_ENCODER}
PICTURES = {"dress.png": (96, 160), "shoe.jpg": (120, 80)}


def write_models(base: Path) -> None:
    """Fills `base/models` and `base/input`, some 60 MB."""
    for seed, (name, shapes) in enumerate(ADAPTERS.items()):
        write_random(base / "models" / "ipadapter" / name, shapes, seed=seed)
    for seed, (name, sizes) in enumerate(ENCODERS.items()):
        write_encoder(base / "models" / "clip_vision" / name, seed=seed, **sizes)
    folder = base / "input"
    folder.mkdir(parents=True, exist_ok=True)
    for at, (name, size) in enumerate(PICTURES.items()):
        soft_picture(size, seed=at).save(folder / name)


def write_encoder(path: Path, *, hidden: int, layers: int, projection: int, feed_forward: int, seed: int = 0) -> None:
    """A whole CLIP vision tower with random weights that keep a signal's size, seeing 224 x 224 pixels."""
    tower = "vision_model"
    shapes = clip_vision(hidden, layers, projection, feed_forward)
    for norm in ("pre_layrnorm", "post_layernorm"):
        shapes |= {f"{tower}.{norm}.{part}": (hidden,) for part in ("weight", "bias")}
    for at in range(layers):
        layer = f"{tower}.encoder.layers.{at}"
        for name, out, into in (
            *((f"self_attn.{part}_proj", hidden, hidden) for part in ("q", "k", "v", "out")),
            ("mlp.fc1", feed_forward, hidden),
            ("mlp.fc2", hidden, feed_forward),
        ):
            shapes |= {f"{layer}.{name}.weight": (out, into), f"{layer}.{name}.bias": (out,)}
    generator = torch.Generator().manual_seed(seed)
    weights: dict[str, torch.Tensor] = {}
    for name, shape in shapes.items():
        if len(shape) > 1:
            inputs = shape[-1] if "position" in name else torch.Size(shape[1:]).numel()
            weights[name] = (torch.randn(shape, generator=generator) * inputs**-0.5).half()
        else:
            is_one = "norm" in name and name.endswith("weight")
            weights[name] = torch.full(shape, 1.0 if is_one else 0.0, dtype=torch.float16)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, path)


def soft_picture(size: tuple[int, int], seed: int) -> Image.Image:
    """A picture of `(width, height)` pixels that follows from its seed."""
    blots = torch.randint(0, 256, (6, 6, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    return Image.fromarray(blots.numpy()).resize(size, Image.Resampling.BICUBIC)
