"""What a host says about one render: how far it is, and live previews that are certainly its own."""

import json
import struct

import pytest

from server.render.types import Frame
from server.render.watch import Watch

ID = "11111111-2222-4333-8444-555555555555"
GRAPH = {
    "load": {"class_type": "CheckpointLoaderSimple", "inputs": {}},
    "sampler": {"class_type": "KSampler", "inputs": {}},
    "picture": {"class_type": "SaveImage", "inputs": {}},
}


def said(kind: str, prompt_id: str = ID, **data: object) -> str:
    return json.dumps({"type": kind, "data": {"prompt_id": prompt_id, **data}})


def with_metadata(metadata: object, picture: bytes = b"pixels") -> bytes:
    text = json.dumps(metadata).encode()
    return struct.pack(">II", 4, len(text)) + text + picture


def test_a_sampler_is_most_of_a_render() -> None:
    watch = Watch(ID, GRAPH)
    watch.text(said("executing", node="load"))
    watch.text(said("executing", node="sampler"))
    shares = [watch.progress.share]
    for step in (1, 2, 3, 4):
        watch.text(said("progress", value=step, max=4, node="sampler"))
        shares.append(watch.progress.share)
    assert shares == sorted(shares)
    assert shares[0] < 0.1
    assert shares[-1] > 0.9


@pytest.mark.parametrize(
    ("message", "frame"),
    [
        (struct.pack(">II", 1, 1) + b"pixels", Frame("jpeg", b"pixels")),
        (struct.pack(">II", 1, 2) + b"pixels", Frame("png", b"pixels")),
        (with_metadata({"prompt_id": ID, "image_type": "image/jpeg"}), Frame("jpeg", b"pixels")),
        (with_metadata({"prompt_id": ID, "image_type": "image/png"}), Frame("png", b"pixels")),
        (with_metadata({"prompt_id": "another", "image_type": "image/png"}), None),
        (with_metadata({"prompt_id": ID, "image_type": "image/svg+xml"}), None),
        (with_metadata({"prompt_id": ID, "image_type": "image/png"}, b""), None),
        (with_metadata([ID]), None),
        (struct.pack(">II", 4, 2**31) + b"{}", None),
        (struct.pack(">II", 4, 4) + b"{{{{pixels", None),
        (struct.pack(">II", 3, 2) + b"10text", None),
        (struct.pack(">II", 1, 7) + b"pixels", None),
        (struct.pack(">II", 1, 1), None),
        (b"", None),
    ],
)
def test_live_previews(message: bytes, frame: Frame | None) -> None:
    assert Watch(ID, GRAPH).binary(message) == frame
