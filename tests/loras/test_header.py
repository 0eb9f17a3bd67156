"""What a header may say, and every way in which it may lie."""

import io
import json
import pickle
import struct
import zipfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from server.errors import InvalidLora
from server.loras.header import Header, check_start, read_header
from tests.loras import lora_files as files

ONE = {"dtype": "F16", "shape": [4, 2], "data_offsets": [0, 16]}
TWO = {"dtype": "F16", "shape": [4], "data_offsets": [16, 24]}


class Counting(io.BytesIO):
    """Knows how much of it was read."""

    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.taken += len(data)
        return data


def read(data: bytes) -> Header:
    return read_header(io.BytesIO(data), len(data))


def zipped() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"a": 1}))
    return made.getvalue()


def test_a_true_header_is_read_and_nothing_after_it() -> None:
    data = files.lora(files.KOHYA, files.KOHYA_SAYS)
    file = Counting(data)
    header = read_header(file, len(data))

    assert list(header.tensors) == list(files.KOHYA)
    assert header.metadata == files.KOHYA_SAYS
    assert {name: tensor.shape for name, tensor in header.tensors.items()} == files.KOHYA
    assert header.tensors[f"{files.TO_K}.lora_down.weight"].begin == header.weights_at == file.taken
    assert [tensor.end for tensor in header.tensors.values()][-1] == len(data)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"\x80\x02}q\x00.", "pickled PyTorch file, which can run code"),
        (pickle.dumps({"state_dict": list(range(100))}), "pickled PyTorch file, which can run code"),
        (zipped(), "is a zip, as pickled PyTorch files are"),
        (b"\x1f\x8b\x08\x00" + bytes(60), "is compressed"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "is a web page"),
        (b"GGUF\x03\x00\x00\x00" + bytes(40), "is a GGUF file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "is a picture"),
        (b"short", "no safetensors file"),
        (struct.pack("<Q", 90) + b"[" * 90, "no safetensors file"),
        (struct.pack("<Q", 90) + b'{"a": 1}', "cut off within its header"),
        (struct.pack("<Q", 2**62) + b"{" + bytes(60), "4,611,686,018,427,387,904 bytes long, where a LoRA's has"),
        (struct.pack("<Q", (16 << 20) + 1) + b"{" + bytes(60), "where a LoRA's has 16,777,216 at most"),
        (files.lora()[:-1], r"cut off: it has [\d,]+ bytes of the [\d,]+ its header says"),
        (files.lora() + b"\x00", "has 1 bytes after its last tensor"),
        (files.lora() + zipped(), "bytes after its last tensor, which no header accounts for"),
    ],
)
def test_what_is_no_whole_safetensors_file(data: bytes, says: str) -> None:
    with pytest.raises(InvalidLora, match=says):
        read(data)


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ({"a": ONE, "b": {**TWO, "data_offsets": [8, 16]}}, "'b' overlaps another"),
        ({"a": ONE, "b": {**TWO, "data_offsets": [0, 8]}}, "overlaps another"),
        ({"a": ONE, "b": {**TWO, "data_offsets": [20, 28]}}, "'b' leaves a gap before it"),
        ({"a": {**ONE, "data_offsets": [4, 20]}}, "'a' leaves a gap before it"),
        ({"a": {**ONE, "shape": [4, 3]}}, "'a' says F16 4×3, and has 16 bytes"),
        ({"a": {**ONE, "shape": []}}, "'a' says F16 scalar, and has 16 bytes"),
        ({"a": {**ONE, "dtype": "F32"}}, "'a' says F32 4×2, and has 16 bytes"),
        ({"a": {**ONE, "dtype": "OBJECT"}}, "dtype 'OBJECT', which the format does not know"),
        ({"a": {**ONE, "shape": [2**40, 2**40, 0], "data_offsets": [16, 0]}}, "shape or place that is none"),
        ({"a": {**ONE, "shape": [-4, -2]}}, "shape or place that is none"),
        ({"a": {**ONE, "shape": [4.0, 2]}}, "shape or place that is none"),
        ({"a": {**ONE, "shape": [True, 8]}}, "shape or place that is none"),
        ({"a": {**ONE, "shape": [2**70]}}, "shape or place that is none"),
        ({"a": {**ONE, "shape": [1] * 9 + [8]}}, "'a' has 10 dimensions"),
        ({"a": {"dtype": "F16", "shape": [8]}}, "'a' is not described"),
        ({"a": {**ONE, "data_offsets": [0, 16, 32]}}, "'a' is not described"),
        ({"a": {**ONE, "run": "me"}}, "'a' is not described"),
        ({"a": []}, "'a' is not described"),
        ({"__metadata__": {"ss_steps": 740}, "a": ONE}, "its metadata is not text"),
        ({"__metadata__": ["x"], "a": ONE}, "it is not an object"),
        (b'{"a": {"dtype": "F16", "shape": [8], "data_offsets": [0, 16]}, "a": 1}', "'a' occurs twice"),
        (b'{"__metadata__": {"x": "1", "x": "2"}}', "'x' occurs twice"),
        (b'{"a": {"dtype": "F16", "shape": [NaN], "data_offsets": [0, 16]}}', "it is not JSON"),
        (b'{"a": ' + b"[" * 100_000 + b"}", "it is not JSON"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "it is not JSON"),
        (b'{"\xff": 1}', "it is not JSON"),
    ],
)
def test_a_header_that_lies_is_refused_with_a_sentence(header: dict[str, Any] | bytes, says: str) -> None:
    with pytest.raises(InvalidLora, match="cannot be trusted: ") as refused:
        read(files.packed(header, bytes(16)))
    assert says in refused.value.message
    assert refused.value.status == 422


def test_a_name_of_thousands_of_characters_is_not_repeated() -> None:
    name = "\x1b[31m" + "x" * 5_000
    with pytest.raises(InvalidLora) as refused:
        read(files.packed({name: {**ONE, "shape": [3]}}, bytes(16)))
    assert len(refused.value.message) < 300
    assert refused.value.message.isprintable()


@pytest.mark.parametrize("dtype", ["F16", "F32", "BF16"])
def test_whatever_the_safetensors_library_writes_is_read(dtype: str) -> None:
    import torch
    from safetensors.torch import save

    kind = {"F16": torch.float16, "F32": torch.float32, "BF16": torch.bfloat16}[dtype]
    tensors = {name: torch.zeros(shape, dtype=kind) for name, shape in files.KOHYA.items()}
    header = read(save(tensors, files.KOHYA_SAYS))
    assert {name: (tensor.dtype, tensor.shape) for name, tensor in header.tensors.items()} == {
        name: (dtype, shape) for name, shape in files.KOHYA.items()
    }


@given(some.binary(max_size=200))
def test_no_bytes_bring_it_down(data: bytes) -> None:
    try:
        read(data)
    except InvalidLora as error:
        assert error.message.endswith((".", "!"))


@given(some.recursive(some.none() | some.integers() | some.text(max_size=9), lambda more: some.lists(more)))
def test_no_header_brings_it_down(value: object) -> None:
    try:
        read(files.packed(json.dumps({"a": {**ONE, "shape": value}, "b": value}).encode(), bytes(16)))
    except InvalidLora as error:
        assert error.message


def test_the_start_of_a_stream_says_enough_to_refuse_the_rest() -> None:
    data = files.lora()
    assert check_start(data[:32]) == read(data).weights_at
    with pytest.raises(InvalidLora, match="cut off within its header"):
        check_start(data[:32], size=64)
