"""What a safetensors file says about itself, without its weights, and whether that is true.

The format (https://github.com/huggingface/safetensors, "Format"): eight bytes with the header's length, a JSON header
that gives each tensor's dtype, shape and place, then the tensors' bytes one after another. A header that was read here
is true to its file: tensors follow each other without gap or overlap from the header to the end, and each has the
bytes that its dtype and shape take.
"""

import json
import math
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn

from server.errors import InvalidLora

__all__ = ["START_BYTES", "Header", "Tensor", "check_start", "read_header"]

START_BYTES = 32
"""How much of a file `check_start` wants to see."""
_LONGEST = 16 << 20  # bytes; the format allows 100 MB, and a LoRA's is well under one
_LENGTH_BYTES = 8
_MOST_DIMENSIONS = 8
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "U16": 16, "I16": 16, "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32,
    "U64": 64, "I64": 64, "F64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
_PICKLED = "is a pickled PyTorch file, which can run code when it is opened: save it as .safetensors."
_OTHERS = (
    (b"PK\x03\x04", "is a zip, as pickled PyTorch files are, which can run code: save it as .safetensors."),
    (b"PK\x05\x06", "is a zip, not a LoRA: unpack it."),
    (b"\x80", _PICKLED),
    (b"\x1f\x8b", "is compressed: unpack it."),
    (b"Rar!", "is a rar archive: unpack it."),
    (b"7z\xbc\xaf", "is a 7z archive: unpack it."),
    (b"version https://git-lfs", "is a Git LFS pointer, not the file itself: run `git lfs pull`."),
    (b"GGUF", "is a GGUF file: LoRAs are .safetensors files."),
    (b"<", "is a web page: the download went wrong, get it again."),
    (b"\x89PNG", "is a picture."),
)


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: its dtype as the format names it (`F16`, `BF16`, …), its shape, and where it lies, in bytes."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Header:
    """A file's tensors by name, in the order of their bytes, and its metadata. `weights_at`: where the first begins."""

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]
    weights_at: int


def check_start(start: bytes, size: int | None = None) -> int:
    """Looks at the first bytes of a file, `START_BYTES` or all that there are; returns where its weights begin.

    `size` in bytes, where it is known.

    Raises:
        InvalidLora: it cannot be a safetensors file.
    """
    if not start:
        raise InvalidLora("The file is empty.")
    if len(start) > _LENGTH_BYTES and start[_LENGTH_BYTES : _LENGTH_BYTES + 1] == b"{":
        (length,) = struct.unpack("<Q", start[:_LENGTH_BYTES])
        if size is not None and _LENGTH_BYTES + length > size and length <= _LONGEST:
            raise InvalidLora("The file is cut off within its header: get it again.")
        if length <= _LONGEST:
            return _LENGTH_BYTES + length
        raise InvalidLora(f"The file's header is {length:,} bytes long, where a LoRA's has {_LONGEST:,} at most.")
    for magic, what in _OTHERS:
        if start.startswith(magic):
            raise InvalidLora(f"The file {what}")
    raise InvalidLora("The file is no safetensors file: LoRAs are taken in no other format.")


def read_header(file: BinaryIO, size: int) -> Header:
    """Reads and checks the header of a file of `size` bytes; no more of it is read.

    Raises:
        InvalidLora: no safetensors file, cut off, or its header does not agree with its size.
    """
    file.seek(0)
    start = file.read(min(size, START_BYTES))
    weights_at = check_start(start, size)
    length = weights_at - _LENGTH_BYTES
    text = start[_LENGTH_BYTES:weights_at] + file.read(max(0, weights_at - len(start)))
    if len(text) < length:
        raise InvalidLora("The file is cut off within its header: get it again.")
    return _checked(text, weights_at, size)


def _checked(text: bytes, weights_at: int, size: int) -> Header:
    try:
        found = json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        why = str(error) if isinstance(error, _Twice) else "it is not JSON"
        raise _damaged(why) from None
    metadata = found.pop("__metadata__", None) if isinstance(found, dict) else None
    metadata = {} if metadata is None else metadata
    if not isinstance(found, dict) or not isinstance(metadata, dict):
        raise _damaged("it is not an object")
    if not all(isinstance(value, str) for value in metadata.values()):
        raise _damaged("its metadata is not text")
    tensors = sorted(
        ((name, _tensor(name, entry, weights_at)) for name, entry in found.items()),
        key=lambda each: (each[1].begin, each[1].end),
    )
    at = weights_at
    for name, tensor in tensors:
        if tensor.begin != at:
            where = "overlaps another" if tensor.begin < at else "leaves a gap before it"
            raise _damaged(f"{_shown(name)} {where}")
        at = tensor.end
    if at > size:
        raise InvalidLora(f"The file is cut off: it has {size:,} bytes of the {at:,} its header says. Get it again.")
    if at < size:
        raise InvalidLora(f"The file has {size - at:,} bytes after its last tensor, which no header accounts for.")
    return Header(dict(tensors), metadata, weights_at)


def _tensor(name: str, entry: object, weights_at: int) -> Tensor:
    match entry:
        case {"dtype": str() as dtype, "shape": list() as shape, "data_offsets": [begin, end], **more} if not more:
            pass
        case _:
            raise _damaged(f"{_shown(name)} is not described")
    if dtype not in _BITS:
        raise _damaged(f"{_shown(name)} has the dtype {_shown(dtype)}, which the format does not know")
    if not all(type(number) is int and 0 <= number < 2**63 for number in (*shape, begin, end)) or begin > end:
        raise _damaged(f"{_shown(name)} has a shape or place that is none")
    if len(shape) > _MOST_DIMENSIONS:
        raise _damaged(f"{_shown(name)} has {len(shape)} dimensions")
    if (end - begin) * 8 != math.prod(shape) * _BITS[dtype]:
        raise _damaged(
            f"{_shown(name)} says {dtype} {'×'.join(map(str, shape)) or 'scalar'}, and has {end - begin:,} bytes"
        )
    return Tensor(dtype, tuple(shape), weights_at + begin, weights_at + end)


class _Twice(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        name, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise _Twice(f"{_shown(name)} occurs twice in it")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _damaged(why: str) -> InvalidLora:
    return InvalidLora(f"The file's header cannot be trusted: {why}.")


def _shown(name: str) -> str:
    """A name that a stranger wrote, short and printable."""
    text = "".join(c if c.isprintable() else "?" for c in name)
    return f"'{text}'" if len(text) <= 80 else f"'{text[:79]}…'"
