"""What an IP-Adapter file holds, told from the shapes in its header alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..safetensors_header import Header, ModelFileError, TensorInfo, read_header

__all__ = ["HEAD_DIM", "Kind", "Layout", "ResamplerSize", "infer_layout", "key_value_names", "read_layout"]

Kind = Literal["plain", "plus", "full"]
Shapes = dict[str, tuple[int, ...]]

HEAD_DIM = 64  # channels per head in every published resampler; shapes give only heads × channels
_FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
_FACE_EMBEDDING = 512  # channels of a face recogniser's embedding
_KEY_VALUE = re.compile(r"(ip_adapter|adapter_modules)\.(\d+)\.to_([kv])_ip\.weight")


@dataclass(frozen=True)
class ResamplerSize:
    """The sizes of a plus adapter's resampler (a Perceiver, Alayrac et al. 2022, arXiv:2204.14198).

    `dim` channels inside, `depth` blocks, `heads` of `HEAD_DIM` channels, `queries` learned latents, and `feed_forward`
    channels between a block's two feed-forward layers.
    """

    dim: int
    depth: int
    heads: int
    queries: int
    feed_forward: int


@dataclass(frozen=True)
class Layout:
    """The sizes of an IP-Adapter.

    `kind`: `plain` projects the pooled image embedding; `plus` (plus-face too) resamples the encoder's penultimate
    hidden states; `full` passes each of them through two linear layers. `embed_dim`: channels it expects of the
    encoder, of the pooled embedding for `plain` and of the hidden states otherwise. `cross_dim`: channels of an image
    token. `tokens`: image tokens per reference; None for `full`, which makes one of each hidden state. `widths`: inner
    channels of each cross-attention layer, in the file's order (down, up, middle blocks). `resampler` for `plus` only.
    """

    kind: Kind
    embed_dim: int
    cross_dim: int
    tokens: int | None
    widths: tuple[int, ...]
    resampler: ResamplerSize | None = None


def read_layout(path: Path) -> Layout:
    """The layout of a file, from its header.

    Raises:
        ModelFileError: unreadable, or no IP-Adapter that can be used here.
    """
    return infer_layout(read_header(path), path.name)


def infer_layout(header: Header, name: str) -> Layout:
    """The layout of a header; `name` is the file's, for messages.

    Raises:
        ModelFileError: no IP-Adapter, of a kind that is not supported, or with parts missing.
    """
    names = key_value_names(header)
    projection = {
        key.removeprefix("image_proj."): info for key, info in header.tensors.items() if key.startswith("image_proj.")
    }
    if not names or not projection:
        raise ModelFileError(f"{name} is no IP-Adapter: choose a file from the ipadapter folder.")
    _refuse_other_kinds(header, projection, name)
    widths, cross_dim = _widths(header, names, name)
    if "latents" in projection:
        layout, expected = _plus(projection, cross_dim, widths, name)
    elif "proj.3.weight" in projection:
        layout, expected = _full(projection, cross_dim, widths, name)
    else:
        layout, expected = _plain(projection, cross_dim, widths, name)
    found = {key: info.shape for key, info in projection.items()}
    for key in sorted(expected.keys() | found.keys()):
        if key not in expected:
            raise ModelFileError(f"{name} has a part that is not known here (image_proj.{key}): it cannot be used.")
        if found.get(key) != expected[key]:
            raise _incomplete(name, f"image_proj.{key}")
    if layout.kind == "plus" and layout.resampler is not None and layout.resampler.dim == 2048 == cross_dim:
        raise ModelFileError(f"{name} is made for Kolors: choose one for Stable Diffusion 1.5 or SDXL.")
    used = (*projection.values(), *(header.tensors[key] for pair in names for key in pair if key in header.tensors))
    odd = {info.dtype for info in used} - _FLOATS
    if odd:
        raise ModelFileError(f"{name} is stored as {', '.join(sorted(odd))}: use the half or full precision version.")
    return layout


def key_value_names(header: Header) -> list[tuple[str, str]]:
    """The names of each layer's key and value matrix, in the file's order of layers."""
    found = [match for match in map(_KEY_VALUE.fullmatch, header.tensors) if match]
    layers = sorted({(int(match[2]), match[1]) for match in found})
    return [(f"{prefix}.{n}.to_k_ip.weight", f"{prefix}.{n}.to_v_ip.weight") for n, prefix in layers]


def _widths(header: Header, names: list[tuple[str, str]], name: str) -> tuple[tuple[int, ...], int]:
    """Each layer's inner channels, and the channels of the image tokens that all of them take."""
    numbers = [int(key.split(".")[1]) for key, _ in names]
    if numbers != list(range(1, 2 * len(numbers), 2)):  # self-attention layers have the even numbers and no weights
        raise _incomplete(name, "a cross-attention layer")
    widths: list[int] = []
    cross_dims: set[int] = set()
    for key_name, value_name in names:
        key, value = header.tensors.get(key_name), header.tensors.get(value_name)
        if key is None or value is None or len(key.shape) != 2 or key.shape != value.shape or 0 in key.shape:
            raise _incomplete(name, key_name)
        widths.append(key.shape[0])
        cross_dims.add(key.shape[1])
    if len(cross_dims) != 1:
        raise _incomplete(name, "its cross-attention layers, which do not agree")
    return tuple(widths), cross_dims.pop()


def _plain(
    projection: Mapping[str, TensorInfo], cross_dim: int, widths: tuple[int, ...], name: str
) -> tuple[Layout, Shapes]:
    rows, embed_dim = _matrix(projection, "proj.weight", name)
    if rows % cross_dim:
        raise _incomplete(name, "image_proj.proj.weight")
    layout = Layout("plain", embed_dim, cross_dim, rows // cross_dim, widths)
    return layout, {"proj.weight": (rows, embed_dim), "proj.bias": (rows,), **_norm("norm", cross_dim)}


def _full(
    projection: Mapping[str, TensorInfo], cross_dim: int, widths: tuple[int, ...], name: str
) -> tuple[Layout, Shapes]:
    hidden, embed_dim = _matrix(projection, "proj.0.weight", name)
    layout = Layout("full", embed_dim, cross_dim, None, widths)
    return layout, {
        "proj.0.weight": (hidden, embed_dim),
        "proj.0.bias": (hidden,),
        "proj.2.weight": (cross_dim, hidden),
        "proj.2.bias": (cross_dim,),
        **_norm("proj.3", cross_dim),
    }


def _plus(
    projection: Mapping[str, TensorInfo], cross_dim: int, widths: tuple[int, ...], name: str
) -> tuple[Layout, Shapes]:
    latents = projection["latents"].shape
    if len(latents) != 3:
        raise _incomplete(name, "image_proj.latents")
    _, queries, dim = latents
    _, embed_dim = _matrix(projection, "proj_in.weight", name)
    inner, _ = _matrix(projection, "layers.0.0.to_q.weight", name)
    feed_forward, _ = _matrix(projection, "layers.0.1.1.weight", name)
    depth = len({key.split(".")[1] for key in projection if key.startswith("layers.")})
    if not queries or inner % HEAD_DIM:
        raise ModelFileError(f"{name} has a resampler of a size that is not known here: it cannot be used.")
    expected: Shapes = {
        "latents": (1, queries, dim),
        "proj_in.weight": (dim, embed_dim),
        "proj_in.bias": (dim,),
        "proj_out.weight": (cross_dim, dim),
        "proj_out.bias": (cross_dim,),
        **_norm("norm_out", cross_dim),
    }
    for block in range(depth):
        attention, forward = f"layers.{block}.0", f"layers.{block}.1"
        expected |= _norm(f"{attention}.norm1", dim) | _norm(f"{attention}.norm2", dim) | _norm(f"{forward}.0", dim)
        expected |= {
            f"{attention}.to_q.weight": (inner, dim),
            f"{attention}.to_kv.weight": (2 * inner, dim),
            f"{attention}.to_out.weight": (dim, inner),
            f"{forward}.1.weight": (feed_forward, dim),
            f"{forward}.3.weight": (dim, feed_forward),
        }
    size = ResamplerSize(dim, depth, inner // HEAD_DIM, queries, feed_forward)
    return Layout("plus", embed_dim, cross_dim, queries, widths, size), expected


def _refuse_other_kinds(header: Header, projection: Mapping[str, TensorInfo], name: str) -> None:
    """FaceID and InstantID read a face recogniser's embedding instead of an image encoder's."""
    first = next((projection[key] for key in ("proj.0.weight", "proj_in.weight") if key in projection), None)
    if (
        any("_lora." in key for key in header.tensors)
        or any(key.startswith("perceiver_resampler.") for key in projection)
        or (first is not None and first.shape[-1:] == (_FACE_EMBEDDING,))
    ):
        raise ModelFileError(
            f"{name} works from a recognised face (FaceID, InstantID): choose a plain or plus adapter."
        )


def _matrix(projection: Mapping[str, TensorInfo], key: str, name: str) -> tuple[int, int]:
    shape = projection[key].shape if key in projection else ()
    if len(shape) != 2 or 0 in shape:
        raise _incomplete(name, f"image_proj.{key}")
    return shape[0], shape[1]


def _norm(key: str, dim: int) -> Shapes:
    return {f"{key}.weight": (dim,), f"{key}.bias": (dim,)}


def _incomplete(name: str, part: str) -> ModelFileError:
    return ModelFileError(f"{name} is no whole IP-Adapter, it lacks or distorts {part}: download it again.")
