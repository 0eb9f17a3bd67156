"""What an image encoder's file holds, told from the shapes in its header alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .safetensors_header import Header, ModelFileError, read_header

__all__ = ["EncoderSize", "encoder_name", "read_encoder_size"]


@dataclass(frozen=True)
class _Names:
    """How a library calls an encoder's layers and its other weights."""

    layers: str
    others: tuple[str, ...]


_TRANSFORMERS = _Names(
    "vision_model.encoder.layers.",
    (
        "vision_model.embeddings.class_embedding",
        "vision_model.embeddings.patch_embedding.weight",
        "vision_model.pre_layrnorm.weight",  # the library's own spelling
        "vision_model.pre_layrnorm.bias",
        "vision_model.post_layernorm.weight",
        "vision_model.post_layernorm.bias",
    ),
)
_OPEN_CLIP = _Names(
    "visual.transformer.resblocks.",
    (
        "visual.class_embedding",
        "visual.conv1.weight",
        "visual.ln_pre.weight",
        "visual.ln_pre.bias",
        "visual.ln_post.weight",
        "visual.ln_post.bias",
    ),
)
_NAMES = {(1280, 1024): "CLIP ViT-H", (1664, 1280): "CLIP ViT-bigG", (1024, 768): "CLIP ViT-L"}


@dataclass(frozen=True)
class EncoderSize:
    """A CLIP image encoder (Radford et al. 2021, arXiv:2103.00020).

    `hidden_dim`: channels of its hidden states. `pooled_dim`: channels of the projected image embedding. `tokens`:
    hidden states per image, the class token included.
    """

    hidden_dim: int
    pooled_dim: int
    tokens: int


def read_encoder_size(path: Path) -> EncoderSize:
    """The sizes of a file, in the names of transformers or of OpenCLIP.

    Raises:
        ModelFileError: unreadable, or no CLIP image encoder.
    """
    return _infer(read_header(path), path.name)


def encoder_name(size: EncoderSize) -> str:
    """What people call an encoder of this size."""
    known = _NAMES.get((size.hidden_dim, size.pooled_dim))
    return known or f"CLIP with {size.hidden_dim} hidden and {size.pooled_dim} pooled channels"


def _infer(header: Header, name: str) -> EncoderSize:
    shapes = {key: info.shape for key, info in header.tensors.items()}
    for names, read in ((_TRANSFORMERS, _transformers), (_OPEN_CLIP, _open_clip)):
        size = read(shapes)
        if size is not None:
            _require_whole(shapes, names, name)
            return size
    raise ModelFileError(f"{name} is no CLIP image encoder: choose a file from the clip_vision folder.")


def _require_whole(shapes: Mapping[str, tuple[int, ...]], names: _Names, name: str) -> None:
    """Every layer has the same parts: ComfyUI leaves what a file lacks at whatever was in memory."""
    layers: dict[str, set[str]] = {}
    for key in shapes:
        if key.startswith(names.layers):
            number, _, part = key.removeprefix(names.layers).partition(".")
            layers.setdefault(number, set()).add(part)
    whole = set().union(*layers.values())
    lacking = [f"{names.layers}{number}.{part}" for number, parts in layers.items() for part in sorted(whole - parts)]
    lacking += [f"{names.layers}{number}" for number in range(len(layers)) if str(number) not in layers]
    lacking += [key for key in names.others if key not in shapes]
    if lacking or not layers:
        what = lacking[0] if lacking else "its layers"
        raise ModelFileError(f"{name} is no whole image encoder, it lacks {what}: download it again.")


def _transformers(shapes: Mapping[str, tuple[int, ...]]) -> EncoderSize | None:
    positions = shapes.get("vision_model.embeddings.position_embedding.weight", ())
    projection = shapes.get("visual_projection.weight", ())
    if len(positions) != 2 or len(projection) != 2 or positions[1] != projection[1]:
        return None
    return EncoderSize(hidden_dim=positions[1], pooled_dim=projection[0], tokens=positions[0])


def _open_clip(shapes: Mapping[str, tuple[int, ...]]) -> EncoderSize | None:
    positions = shapes.get("visual.positional_embedding", ())
    projection = shapes.get("visual.proj", ())
    if len(positions) != 2 or len(projection) != 2 or positions[1] != projection[0]:
        return None
    return EncoderSize(hidden_dim=positions[1], pooled_dim=projection[1], tokens=positions[0])
