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


def _weight_and_bias(name: str, shape: tuple[int, ...]) -> Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


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
    """A CLIP vision tower as transformers names it."""
    shapes: Shapes = {
        "vision_model.embeddings.class_embedding": (hidden,),
        "vision_model.embeddings.patch_embedding.weight": (hidden, 3, 14, 14),
        "vision_model.embeddings.position_embedding.weight": (tokens, hidden),
        "visual_projection.weight": (projection, hidden),
        **_weight_and_bias("vision_model.pre_layrnorm", (hidden,)),
        **_weight_and_bias("vision_model.post_layernorm", (hidden,)),
    }
    for at in range(layers):
        layer = f"vision_model.encoder.layers.{at}"
        for part in ("layer_norm1", "layer_norm2"):
            shapes |= _weight_and_bias(f"{layer}.{part}", (hidden,))
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= _weight_and_bias(f"{layer}.self_attn.{part}", (hidden, hidden))
        shapes |= _weight_and_bias(f"{layer}.mlp.fc1", (feed_forward, hidden))
        shapes |= _weight_and_bias(f"{layer}.mlp.fc2", (hidden, feed_forward))
    return shapes


def open_clip_vision(hidden: int, layers: int, projection: int, feed_forward: int, tokens: int = 257) -> Shapes:
    """The same tower as OpenCLIP names it."""
    shapes: Shapes = {
        "visual.class_embedding": (hidden,),
        "visual.conv1.weight": (hidden, 3, 14, 14),
        "visual.positional_embedding": (tokens, hidden),
        "visual.proj": (hidden, projection),
        **_weight_and_bias("visual.ln_pre", (hidden,)),
        **_weight_and_bias("visual.ln_post", (hidden,)),
    }
    for at in range(layers):
        layer = f"visual.transformer.resblocks.{at}"
        shapes |= _weight_and_bias(f"{layer}.ln_1", (hidden,)) | _weight_and_bias(f"{layer}.ln_2", (hidden,))
        shapes |= {f"{layer}.attn.in_proj_weight": (3 * hidden, hidden), f"{layer}.attn.in_proj_bias": (3 * hidden,)}
        shapes |= _weight_and_bias(f"{layer}.attn.out_proj", (hidden, hidden))
        shapes |= _weight_and_bias(f"{layer}.mlp.c_fc", (feed_forward, hidden))
        shapes |= _weight_and_bias(f"{layer}.mlp.c_proj", (hidden, feed_forward))
    return shapes


def unet(cross_dim: int, layers: dict[str, int], prefix: str = "model.diffusion_model.") -> Shapes:
    """The keys' matrices of a UNet's cross-attention: `{"input_blocks.4.1.transformer_blocks.0": width}`."""
    return {f"{prefix}{layer}.attn2.to_k.weight": (width, cross_dim) for layer, width in layers.items()}


def _sd15_layers() -> dict[str, int]:
    down = {1: 320, 2: 320, 4: 640, 5: 640, 7: 1280, 8: 1280}
    up = {3: 1280, 4: 1280, 5: 1280, 6: 640, 7: 640, 8: 640, 9: 320, 10: 320, 11: 320}
    return {
        **{f"input_blocks.{block}.1.transformer_blocks.0": width for block, width in down.items()},
        "middle_block.1.transformer_blocks.0": 1280,
        **{f"output_blocks.{block}.1.transformer_blocks.0": width for block, width in up.items()},
    }


def _sdxl_layers() -> dict[str, int]:
    down, up = {4: (2, 640), 5: (2, 640), 7: (10, 1280), 8: (10, 1280)}, {}
    for block in range(6):
        up[block] = (10, 1280) if block < 3 else (2, 640)
    layers = {
        f"input_blocks.{block}.1.transformer_blocks.{at}": width
        for block, (depth, width) in down.items()
        for at in range(depth)
    }
    layers |= {f"middle_block.1.transformer_blocks.{at}": 1280 for at in range(10)}
    return layers | {
        f"output_blocks.{block}.1.transformer_blocks.{at}": width
        for block, (depth, width) in up.items()
        for at in range(depth)
    }


SD15_UNET = unet(768, _sd15_layers())
SDXL_UNET = unet(2048, _sdxl_layers())
VIT_H = clip_vision(1280, 32, 1024, 5120)
VIT_BIGG = clip_vision(1664, 48, 1280, 8192)
VIT_BIGG_OPEN_CLIP = open_clip_vision(1664, 48, 1280, 8192)
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


def lora(cross_dim: int, *, text_encoders: int = 1, rank: int = 4) -> Shapes:
    """A LoRA in kohya's names: one cross-attention layer, and one layer of each text encoder."""
    shapes: Shapes = {}
    names = {"lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k": (640, cross_dim)}
    for at in range(1, text_encoders + 1):
        prefix = "lora_te" if text_encoders == 1 else f"lora_te{at}"
        names[f"{prefix}_text_model_encoder_layers_0_self_attn_q_proj"] = (768, 768)
    for name, (rows, columns) in names.items():
        shapes |= {f"{name}.lora_down.weight": (rank, columns), f"{name}.lora_up.weight": (rows, rank)}
        shapes[f"{name}.alpha"] = ()
    return shapes
