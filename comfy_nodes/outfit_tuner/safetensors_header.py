"""Reading what a safetensors file says about itself, without reading its weights.

The format (https://github.com/huggingface/safetensors, "Format"): eight bytes with the header's length, a JSON header
that gives each tensor's dtype, shape and place, then the tensors' bytes one after another. A header that was read here
is true to the file: every tensor lies inside it and is as long as its shape says, so nothing later reads beyond the
end or asks for memory that the file does not fill.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Header", "ModelFileError", "TensorInfo", "read_header"]

_LONGEST_HEADER = 100_000_000  # bytes; the format's own limit
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "U16": 16, "I16": 16, "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32,
    "U64": 64, "I64": 64, "F64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
_NOT_SAFETENSORS = (
    (b"PK\x03\x04", "is a pickled PyTorch file, which can run code when it is opened"),
    (b"\x80", "is a pickled PyTorch file, which can run code when it is opened"),
    (b"version https://git-lfs", "is a Git LFS pointer, not the model itself"),
    (b"<", "is a web page, not a model: the download went wrong"),
    (b"GGUF", "is a GGUF file"),
)


class ModelFileError(ValueError):
    """A model file that cannot be used; the message names it and says what to do."""


@dataclass(frozen=True)
class TensorInfo:
    """One tensor: its dtype as the format names it (`F16`, `BF16`, …) and its shape."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Header:
    """A file's tensors by name, in no particular order, and its free-text metadata."""

    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]


def read_header(path: Path) -> Header:
    """Reads and checks a file's header.

    Raises:
        ModelFileError: no safetensors file, cut off, or its header does not agree with its size.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            start = file.read(32)
            if not start:
                raise ModelFileError(f"{path.name} is empty: download it again.")
            for magic, what in _NOT_SAFETENSORS:
                if start.startswith(magic) and not _plausible(start, size):
                    raise ModelFileError(f"{path.name} {what}: use the .safetensors version of the model.")
            if len(start) < 8:
                raise _cut_off(path)
            (length,) = struct.unpack("<Q", start[:8])
            if length > _LONGEST_HEADER:
                raise ModelFileError(f"{path.name} is no safetensors file: use the .safetensors version of the model.")
            if size < 8 + length:
                raise _cut_off(path)
            file.seek(8)
            text = file.read(length)
    except OSError as error:
        raise ModelFileError(f"{path.name} cannot be read: {error.strerror or error}.") from error
    return _checked(path, text, size - 8 - length)


def _plausible(start: bytes, size: int) -> bool:
    """Whether these bytes can begin a safetensors file: a length's first byte may look like anything."""
    return len(start) > 8 and start[8:9] == b"{" and 8 + struct.unpack("<Q", start[:8])[0] <= size


def _checked(path: Path, text: bytes, room: int) -> Header:
    """The header in `text`, of a file with `room` bytes behind it."""
    try:
        found = json.loads(text, object_pairs_hook=_no_repeats)
        if not isinstance(found, dict):
            raise ValueError("not an object")
        metadata = found.pop("__metadata__", None) or {}
        if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError("metadata is not text")
        spans = sorted((*_span(entry), name) for name, entry in found.items())
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path.name} has a damaged header ({error}): download it again.") from error
    at = 0
    for begin, end, name in spans:
        if begin != at:
            raise ModelFileError(f"{path.name} has a damaged header ({name} is not where it should be): get it anew.")
        at = end
    if at > room:
        raise _cut_off(path)
    if at < room:
        raise ModelFileError(f"{path.name} is longer than its header says: it is damaged, download it again.")
    return Header({name: TensorInfo(entry["dtype"], tuple(entry["shape"])) for name, entry in found.items()}, metadata)


def _span(entry: Any) -> tuple[int, int]:
    """Where a tensor begins and ends, in bytes; raises `ValueError` where that does not fit its shape."""
    try:
        dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    except (TypeError, KeyError, ValueError):
        raise ValueError("a tensor is not described") from None
    if not isinstance(dtype, str) or not isinstance(shape, list):
        raise ValueError("a tensor is not described")
    if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)) or begin > end:
        raise ValueError("a shape or place is no number")
    bits = _BITS.get(dtype)
    if bits is not None and (end - begin) * 8 != math.prod(shape) * bits:
        raise ValueError("a shape does not fit its bytes")
    return begin, end


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _cut_off(path: Path) -> ModelFileError:
    return ModelFileError(f"{path.name} is cut off: its download did not finish, get it again.")
