"""A header that was read is true to its file; what is no model file is refused with what to do."""

import json
import math
import pickle
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from comfy_nodes.outfit_tuner.safetensors_header import ModelFileError, TensorInfo, read_header


def _raw(header: object, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def _tensor(shape: object, begin: object, end: object, dtype: object = "F16") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_names_dtypes_shapes_and_metadata(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    tensors = {"a": torch.zeros(2, 3), "b": torch.zeros(4, dtype=torch.bfloat16), "c": torch.tensor(1.0)}
    save_file(tensors, path, metadata={"x": "y"})
    header = read_header(path)
    assert header.tensors == {"a": TensorInfo("F32", (2, 3)), "b": TensorInfo("BF16", (4,)), "c": TensorInfo("F32", ())}
    assert header.metadata == {"x": "y"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty: download it again"),
        (b"\x00\x00", "cut off"),
        (b"PK\x03\x04" + bytes(60), "pickled PyTorch file.*use the .safetensors version"),
        (pickle.dumps({"a": 1}, protocol=2), "pickled PyTorch file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer"),
        (b"<!DOCTYPE html><html><body>Not found", "web page"),
        (b"GGUF" + bytes(60), "GGUF"),
        (struct.pack("<Q", 1 << 60) + b"{}", "no safetensors file"),
        (struct.pack("<Q", 500) + b'{"a":', "cut off"),
        (_raw(b"\xff\xfe{}"), "damaged header"),
        (_raw([1, 2]), "damaged header"),
        (_raw({"__metadata__": {"a": 1}}), "damaged header"),
        (_raw({"a": 3}), "damaged header"),
        (_raw({"a": _tensor([2], 0, 4)}), "cut off"),
        (_raw({"a": _tensor([2], 0, 4)}, bytes(3)), "cut off"),
        (_raw({"a": _tensor([2], 0, 4)}, bytes(5)), "longer than its header says"),
        (_raw({"a": _tensor([1 << 40], 0, 4)}, bytes(4)), "does not fit its bytes"),
        (_raw({"a": _tensor([-2], 0, 4)}, bytes(4)), "no number"),
        (_raw({"a": _tensor([2.0], 0, 4)}, bytes(4)), "no number"),
        (_raw({"a": _tensor([True], 0, 2)}, bytes(2)), "no number"),
        (_raw({"a": _tensor([2], 4, 0)}, bytes(4)), "no number"),
        (_raw({"a": _tensor([2], 0, 4), "b": _tensor([2], 2, 6)}, bytes(6)), "b is not where it should be"),
        (_raw({"a": _tensor([2], 0, 4), "b": _tensor([2], 6, 10)}, bytes(10)), "b is not where it should be"),
        (_raw(b'{"a":{"dtype":"F16","shape":[1],"data_offsets":[0,2]},"a":3}', bytes(2)), "occurs twice"),
        (_raw({"a": {"dtype": 7, "shape": [1], "data_offsets": [0, 2]}}, bytes(2)), "not described"),
        (_raw({"a": {"dtype": "F16", "shape": [1]}}, bytes(2)), "not described"),
        (_raw(b"[" * 100_000), "damaged header"),
    ],
)
def test_what_is_no_model_file_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=says) as refusal:
        read_header(path)
    assert str(refusal.value).startswith("model.safetensors ")
    assert "\n" not in str(refusal.value)


def test_a_dtype_of_the_future_is_no_reason_to_refuse_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(_raw({"a": _tensor([2], 0, 5, "F20")}, bytes(5)))
    assert read_header(path).tensors["a"].dtype == "F20"


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="cannot be read"):
        read_header(tmp_path / "none.safetensors")
    with pytest.raises(ModelFileError, match="cannot be read"):
        read_header(tmp_path)


def test_a_header_may_begin_with_any_length(tmp_path: Path) -> None:
    """A length's first byte can be that of a pickle, a zip's or a page's: what follows tells them apart."""
    path = tmp_path / "a.safetensors"
    for first in (0x80, 0x3C, 0x50):
        text = json.dumps({"a": _tensor([1], 0, 2)}).encode().ljust(0x100 + first)
        path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(2))
        assert list(read_header(path).tensors) == ["a"]


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, 400), byte=st.integers(0, 255), cut=st.integers(0, 400))
def test_damage_anywhere_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, at: int, byte: int, cut: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    content = bytearray(_raw({"a": _tensor([2, 3], 0, 12), "b": _tensor([1], 12, 14)}, bytes(14)))
    content[at % len(content)] = byte
    path.write_bytes(content[: len(content) - cut % 3])
    try:
        header = read_header(path)
    except ModelFileError:
        return
    assert all(math.prod(info.shape) <= 14 * 8 for info in header.tensors.values())  # elements, of a bit at least
