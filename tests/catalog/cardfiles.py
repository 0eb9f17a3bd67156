"""Card files built byte by byte from the specifications, apart from the code under test."""

import base64
import io
import json
import struct
import zipfile
import zlib
from typing import Any

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) & 0xFFFFFFFF)


def header(width: int, height: int, bits: int = 8, colour: int = 2) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))


def png(*extra: bytes, width: int = 4, height: int = 6, rgb: tuple[int, int, int] = (200, 40, 40)) -> bytes:
    """A plain truecolour PNG with `extra` chunks between header and picture."""
    rows = (b"\0" + bytes(rgb) * width) * height
    return b"".join(
        [SIGNATURE, header(width, height), *extra, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    )


def text(keyword: str, value: bytes) -> bytes:
    return chunk(b"tEXt", keyword.encode() + b"\0" + value)


def ztext(keyword: str, value: bytes) -> bytes:
    return chunk(b"zTXt", keyword.encode() + b"\0\0" + zlib.compress(value, 9))


def itext(keyword: str, value: bytes, *, compressed: bool) -> bytes:
    body = zlib.compress(value) if compressed else value
    return chunk(b"iTXt", keyword.encode() + b"\0" + bytes([compressed, 0]) + b"en\0" + b"card\0" + body)


def encoded(card: object) -> bytes:
    return base64.b64encode(json.dumps(card).encode())


def png_card(card: object, keyword: str = "chara") -> bytes:
    return png(text(keyword, encoded(card)))


def json_card(card: object) -> bytes:
    return json.dumps(card).encode()


def charx(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def v1(**fields: Any) -> dict[str, Any]:
    return {
        "name": "Odile",
        "description": "A bookbinder.",
        "personality": "Brisk.",
        "scenario": "A workshop.",
        "first_mes": "Mind the glue, {{user}}.",
        "mes_example": "<START>\n{{user}}: Hello\n{{char}}: Shoes.",
        **fields,
    }


def v2(**data: Any) -> dict[str, Any]:
    return {
        "spec": "chara_card_v2",
        "spec_version": "2.0",
        "data": v1(
            creator_notes="Bring paper.",
            system_prompt="",
            post_history_instructions="",
            alternate_greetings=["You again."],
            tags=["craft"],
            creator="someone",
            character_version="main",
            extensions={},
        )
        | data,
    }


def v3(**data: Any) -> dict[str, Any]:
    card = v2(group_only_greetings=[], **data)
    return card | {"spec": "chara_card_v3", "spec_version": "3.0"}


def texts_of(data: bytes) -> dict[str, bytes]:
    """The `tEXt` chunks of a PNG, read with every checksum verified."""
    assert data.startswith(SIGNATURE)
    at, found = len(SIGNATURE), {}
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(kind + body)
        if kind == b"tEXt":
            keyword, _, value = body.partition(b"\0")
            found[keyword.decode()] = value
        at += 12 + length
    return found


def decoded(value: bytes) -> Any:
    return json.loads(base64.b64decode(value))
