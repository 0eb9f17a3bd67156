"""PNG as a row of chunks: where cards keep their JSON. Nothing is decoded here but bounded text.

PNG specification (third edition), sections 5 and 11.3.3.
"""

import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from server.catalog.limits import CARD_BYTES, PNG_CHUNKS
from server.errors import InvalidCard

SIGNATURE = b"\x89PNG\r\n\x1a\n"
TEXT_BYTES = 2 * CARD_BYTES  # base64 of the largest card, white space included

_PICTURE = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf"})


class Chunk(NamedTuple):
    kind: bytes
    data: bytes


def read_chunks(png: bytes) -> list[Chunk]:
    """The chunks of a PNG up to its end mark; what follows that is ignored.

    Raises:
        InvalidCard: not a PNG, cut off, damaged (a wrong checksum), or with an absurd number of chunks.
    """
    if not png.startswith(SIGNATURE):
        raise InvalidCard("This is not a PNG picture.")
    chunks: list[Chunk] = []
    at = len(SIGNATURE)
    while not chunks or chunks[-1].kind != b"IEND":
        if len(png) - at < 12:
            raise _cut_off()
        length, kind = struct.unpack_from(">I4s", png, at)
        end = at + 8 + length
        if end + 4 > len(png):
            raise _cut_off()
        data = png[at + 8 : end]
        if zlib.crc32(data, zlib.crc32(kind)) != int.from_bytes(png[end : end + 4], "big"):
            raise InvalidCard("The PNG is damaged: a checksum in it is wrong. Download or export it again.")
        chunks.append(Chunk(kind, data))
        if len(chunks) > PNG_CHUNKS:
            raise InvalidCard(f"The PNG has more than {PNG_CHUNKS:,} parts; a picture has far fewer.")
        at = end + 4
    if chunks[0].kind != b"IHDR" or len(chunks[0].data) != 13:
        raise InvalidCard("The PNG is damaged: it does not begin with a header.")
    return chunks


def read_text(chunks: Sequence[Chunk], keyword: str) -> bytes | None:
    """The first text under `keyword` (in any case), inflated where it is compressed; None where there is none.

    Raises:
        InvalidCard: the text is longer than a card can be, or its compression is broken.
    """
    for kind, data in chunks:
        if kind not in (b"tEXt", b"zTXt", b"iTXt"):
            continue
        key, _, rest = data.partition(b"\0")
        if key.lower() != keyword.encode():
            continue
        if kind == b"zTXt":
            rest = _inflated(rest[1:])
        elif kind == b"iTXt":
            compressed, rest = rest[:1] == b"\1", rest[2:]
            rest = rest.partition(b"\0")[2].partition(b"\0")[2]  # past the language and the translated keyword
            rest = _inflated(rest) if compressed else rest
        if len(rest) > TEXT_BYTES:
            raise _too_long()
        return rest
    return None


def count_texts(chunks: Sequence[Chunk], prefix: str) -> int:
    """How many plain texts have a keyword that begins with `prefix`."""
    return sum(1 for kind, data in chunks if kind == b"tEXt" and data.startswith(prefix.encode()))


def picture_only(chunks: Sequence[Chunk]) -> bytes:
    """The PNG without anything but its picture: no text, no profile, no animation."""
    return SIGNATURE + b"".join(_packed(chunk) for chunk in chunks if chunk.kind in _PICTURE)


def with_texts(png: bytes, texts: Mapping[str, str]) -> bytes:
    """The PNG with these ASCII texts as `tEXt` chunks, before its picture."""
    header, *rest = read_chunks(png)
    added = [Chunk(b"tEXt", f"{keyword}\0{text}".encode("ascii")) for keyword, text in texts.items()]
    return SIGNATURE + b"".join(map(_packed, [header, *added, *rest]))


def _packed(chunk: Chunk) -> bytes:
    checksum = zlib.crc32(chunk.data, zlib.crc32(chunk.kind))
    return struct.pack(">I4s", len(chunk.data), chunk.kind) + chunk.data + struct.pack(">I", checksum)


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, TEXT_BYTES + 1)
    except zlib.error:
        raise InvalidCard("The PNG's compressed text is damaged. Download or export it again.") from None


def _cut_off() -> InvalidCard:
    return InvalidCard("The PNG is cut off: its end is missing. Download or export it again.")


def _too_long() -> InvalidCard:
    return InvalidCard(f"The card in the PNG is too long: more than {CARD_BYTES:,} bytes of JSON.")
