"""Model files for tests: exact published shapes as sparse files, and small ones with random weights."""

import json
import math
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

Shapes = dict[str, tuple[int, ...]]

_BYTES = {"F16": 2, "F32": 4, "BF16": 2, "I64": 8, "F8_E4M3": 1}
SD15_WIDTHS = (320, 320, 640, 640, 1280, 1280, 1280, 1280, 1280, 640, 640, 640, 320, 320, 320, 1280)
SDXL_WIDTHS = (640,) * 4 + (1280,) * 20 + (1280,) * 30 + (640,) * 6 + (1280,) * 10


def key_values(widths: tuple[int, ...], cross_dim: int, prefix: str = "ip_adapter") -> Shapes:
    return {
        f"{prefix}.{2 * at + 1}.to_{kind}_ip.weight": (width, cross_dim)
        for at, width in enumerate(widths)
        for kind in "kv"
    }


def _prefixed(shapes: Shapes) -> Shapes:
    return {f"image_proj.{name}": shape for name, shape in shapes.items()}


def plain(embed_dim: int, cross_dim: int, widths: tuple[int, ...], tokens: int = 4) -> Shapes:
    rows = tokens * cross_dim
    proj = {"proj.weight": (rows, embed_dim), "proj.bias": (rows,), "norm.weight": (cross_dim,)}
    return _prefixed({**proj, "norm.bias": (cross_dim,)}) | key_values(widths, cross_dim)


def full(embed_dim: int, cross_dim: int, widths: tuple[int, ...]) -> Shapes:
    proj: Shapes = {"proj.0.weight": (embed_dim, embed_dim), "proj.0.bias": (embed_dim,)}
    proj |= {"proj.2.weight": (cross_dim, embed_dim), "proj.2.bias": (cross_dim,)}
    return _prefixed({**proj, "proj.3.weight": (cross_dim,), "proj.3.bias": (cross_dim,)}) | key_values(
        widths, cross_dim
    )


def plus(
    embed_dim: int,
    cross_dim: int,
    widths: tuple[int, ...],
    *,
    dim: int,
    heads: int,
    depth: int = 4,
    queries: int = 16,
) -> Shapes:
    inner = heads * 64
    proj: Shapes = {
        "latents": (1, queries, dim),
        "proj_in.weight": (dim, embed_dim),
        "proj_in.bias": (dim,),
        "proj_out.weight": (cross_dim, dim),
        "proj_out.bias": (cross_dim,),
        "norm_out.weight": (cross_dim,),
        "norm_out.bias": (cross_dim,),
    }
    for at in range(depth):
        for norm in ("0.norm1", "0.norm2", "1.0"):
            proj |= {f"layers.{at}.{norm}.weight": (dim,), f"layers.{at}.{norm}.bias": (dim,)}
        proj |= {
            f"layers.{at}.0.to_q.weight": (inner, dim),
            f"layers.{at}.0.to_kv.weight": (2 * inner, dim),
            f"layers.{at}.0.to_out.weight": (dim, inner),
            f"layers.{at}.1.1.weight": (4 * dim, dim),
            f"layers.{at}.1.3.weight": (dim, 4 * dim),
        }
    return _prefixed(proj) | key_values(widths, cross_dim)


PUBLISHED: dict[str, Shapes] = {
    "ip-adapter_sd15": plain(1024, 768, SD15_WIDTHS),
    "ip-adapter_sd15_vit-G": plain(1280, 768, SD15_WIDTHS),
    "ip-adapter-plus_sd15": plus(1280, 768, SD15_WIDTHS, dim=768, heads=12),
    "ip-adapter-full-face_sd15": full(1280, 768, SD15_WIDTHS),
    "ip-adapter_sdxl": plain(1280, 2048, SDXL_WIDTHS),
    "ip-adapter_sdxl_vit-h": plain(1024, 2048, SDXL_WIDTHS),
    "ip-adapter-plus_sdxl_vit-h": plus(1280, 2048, SDXL_WIDTHS, dim=1280, heads=20),
}
"""The shapes of the files in `h94/IP-Adapter`; plus-face has those of plus."""


def clip_vision(hidden: int, layers: int, projection: int, feed_forward: int, tokens: int = 257) -> Shapes:
    """A CLIP vision tower as transformers names it; only what tells towers apart."""
    shapes: Shapes = {
        "vision_model.embeddings.class_embedding": (hidden,),
        "vision_model.embeddings.patch_embedding.weight": (hidden, 3, 14, 14),
        "vision_model.embeddings.position_embedding.weight": (tokens, hidden),
        "visual_projection.weight": (projection, hidden),
    }
    for at in range(layers):
        for norm in ("layer_norm1", "layer_norm2"):
            shapes |= {f"vision_model.encoder.layers.{at}.{norm}.{part}": (hidden,) for part in ("weight", "bias")}
        shapes[f"vision_model.encoder.layers.{at}.mlp.fc1.weight"] = (feed_forward, hidden)
    return shapes


VIT_H = clip_vision(1280, 32, 1024, 5120)
VIT_BIGG = clip_vision(1664, 48, 1280, 8192)
VIT_L = clip_vision(1024, 24, 768, 4096)


def write_sparse(
    path: Path, shapes: Mapping[str, tuple[int, ...]], *, dtype: str = "F16", metadata: Mapping[str, str] | None = None
) -> Path:
    """A file of exactly these shapes whose weights are a hole in it: gigabytes that take no room."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    at = 0
    for name, shape in shapes.items():
        end = at + math.prod(shape) * _BYTES[dtype]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + at)
    return path


def write_random(
    path: Path, shapes: Mapping[str, tuple[int, ...]], *, dtype: torch.dtype = torch.float16, seed: int = 0
) -> Path:
    """A small file with weights."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(dict(random_weights(shapes, dtype, seed)), path)
    return path


def random_weights(
    shapes: Mapping[str, tuple[int, ...]], dtype: torch.dtype, seed: int
) -> Iterator[tuple[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    for name, shape in shapes.items():
        yield name, (torch.randn(shape, generator=generator) * 0.2).to(dtype)
