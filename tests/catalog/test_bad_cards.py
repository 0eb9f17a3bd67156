"""Every way a card file can be broken or hostile ends in one sentence, and quickly."""

import io
import json
import struct
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.catalog.reading import read_card
from server.errors import InvalidCard, TooLarge, VestigeError
from tests.catalog.cardfiles import (
    SIGNATURE,
    charx,
    chunk,
    encoded,
    header,
    itext,
    json_card,
    png,
    png_card,
    text,
    v2,
    v3,
    ztext,
)

IDAT, IEND = chunk(b"IDAT", zlib.compress(bytes(100))), chunk(b"IEND", b"")
CARD = text("chara", encoded(v2()))
GOOD = png_card(v2())
ARCHIVE = charx({"card.json": json_card(v2())})


def wrong_checksum(data: bytes) -> bytes:
    at = data.index(b"tEXt") + 20
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def encrypted(data: bytes) -> bytes:
    local, central = data.index(b"PK\x03\x04") + 6, data.index(b"PK\x01\x02") + 8
    flagged = bytearray(data)
    flagged[local] |= 1
    flagged[central] |= 1
    return bytes(flagged)


def with_directory_size(data: bytes, size: int) -> bytes:
    end = data.rindex(b"PK\x05\x06")
    return data[: end + 12] + struct.pack("<I", size) + data[end + 16 :]


BAD = {
    "nothing": (b"", "is empty"),
    "white space": (b" \n\t", "is empty"),
    "noise": (b"\x93\x00\xfe\x80hello", "not text in UTF-8"),
    "a JPEG": (b"\xff\xd8\xff\xe0" + bytes(50), "A JPEG picture holds no character card"),
    "a WebP": (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "A WebP picture holds no character card"),
    "HTML": (b"<!doctype html><title>404</title>", "not valid JSON: line 1, column 1"),
    "a list": (b'[{"name": "Odile"}]', "must be a JSON object"),
    "a number": (b"7", "must be a JSON object"),
    "cut JSON": (json_card(v2())[:-5], "not valid JSON"),
    "a key twice": (b'{"name": "Odile", "name": "Odette"}', "the key “name” twice"),
    "a key twice, deep": (b'{"data": {"name": "O", "extensions": {"a b": {"<b>": 1, "<b>": 2}}}}', "a key twice"),
    "NaN": (b'{"name": "Odile", "x": NaN}', "NaN where JSON allows only a finite number"),
    "infinity": (b'{"name": "Odile", "x": -Infinity}', "-Infinity where"),
    "overflow": (b'{"name": "Odile", "x": 1e999}', "too large"),
    "an endless number": (b'{"name": "Odile", "x": ' + b"9" * 5_000 + b"}", "too long"),
    "deep lists": (b'{"name": "Odile", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    "deep objects": (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "nested too deeply"),
    "somewhat deep": (b'{"name": "Odile", "x": ' + b"[" * 41 + b"]" * 41 + b"}", "nested too deeply"),
    "2 MB of JSON": (json_card(v2(x="x" * 2_000_000)), "too long: 2,0"),
    "two types": (json_card(v2(tags={"a": "b"})), "`tags` must be a list"),
    "cut in the header": (GOOD[:20], "cut off"),
    "cut in the card": (GOOD[:150], "cut off"),
    "cut in the picture": (GOOD[:-20], "cut off"),
    "without an end": (GOOD[:-12], "cut off"),
    "a wrong checksum": (wrong_checksum(GOOD), "a checksum in it is wrong"),
    "no header": (SIGNATURE + CARD + IDAT + IEND, "does not begin with a header"),
    "a picture that is cut short": (SIGNATURE + header(50, 50) + CARD + IDAT + IEND, "damaged"),
    "no picture": (SIGNATURE + header(5, 5) + CARD + IEND, "damaged"),
    "4 billion pixels": (SIGNATURE + header(65_535, 65_535) + CARD + IDAT + IEND, "too many pixels"),
    "2^62 pixels": (SIGNATURE + header(2**31 - 1, 2**31 - 1) + CARD + IDAT + IEND, "too many pixels"),
    "0 pixels": (SIGNATURE + header(0, 0) + CARD + IDAT + IEND, "not a picture"),
    "a thin line": (SIGNATURE + header(1, 20_000) + CARD + IDAT + IEND, "too many pixels"),
    "a chunk that claims 2 GB": (SIGNATURE + header(5, 5) + struct.pack(">I4s", 2**31, b"tEXt") + CARD, "cut off"),
    "50,000 chunks": (SIGNATURE + header(5, 5) + chunk(b"teSt", b"") * 50_000 + IDAT + IEND, "more than 20,000 parts"),
    "a zTXt of 30 MB": (png(ztext("chara", b"A" * 30_000_000)), "too long"),
    "an iTXt of 30 MB": (png(itext("ccv3", b"A" * 30_000_000, compressed=True)), "too long"),
    "a tEXt of 5 MB": (png(text("chara", b"QUFB" * 1_250_000)), "too long"),
    "a broken zTXt": (png(chunk(b"zTXt", b"chara\0\0" + b"no zlib")), "compressed text is damaged"),
    "base64 of nothing": (png(text("chara", b"")), "not valid JSON"),
    "base64 garbage": (png(text("chara", b"!!!not base64!!!")), "not base64"),
    "base64 of noise": (png(text("chara", b"gICAgICA")), "not text in UTF-8"),
    "base64 of a picture": (png(text("chara", encoded("x")[:-4])), "not valid JSON"),
    "a broken ccv3 beside a good chara": (png(CARD, text("ccv3", b"????")), "not base64"),
    "an empty zip": (b"PK\x05\x06" + bytes(18), "not text in UTF-8|not valid JSON"),
    "a zip without a card": (charx({"readme.txt": b"hi"}), "no card.json"),
    "a zip with the card elsewhere": (charx({"../card.json": json_card(v2()), "a/card.json": b"{}"}), "no card.json"),
    "a zip bomb": (charx({"card.json": b"\x20" * 20_000_000}), "too large"),
    "an icon bomb": (
        charx(
            {
                "card.json": json_card(v3(assets=[{"type": "icon", "name": "main", "uri": "embeded://a.png"}])),
                "a.png": bytes(50_000_000),
            }
        ),
        "too large",
    ),
    "an icon with too many pixels": (
        charx(
            {
                "card.json": json_card(v3(assets=[{"type": "icon", "name": "main", "uri": "embeded://a.png"}])),
                "a.png": SIGNATURE + header(30_000, 30_000) + IDAT + IEND,
            }
        ),
        "too many pixels",
    ),
    "a cut zip": (ARCHIVE[:-30], "its end is missing"),
    "a zip with a broken card": (ARCHIVE.replace(b"card.json", b"carb.json", 1), "damaged"),
    "an encrypted zip": (encrypted(ARCHIVE), "encrypted"),
    "a bzip2 zip": (charx({"card.json": json_card(v2())}, zipfile.ZIP_BZIP2), "unusual way"),
    "an lzma zip": (charx({"card.json": json_card(v2())}, zipfile.ZIP_LZMA), "unusual way"),
    "a directory that claims 4 GB": (with_directory_size(charx({"card.json": b"{}"}), 2**32 - 1), "too many files"),
    "20,000 files": (charx({f"{n:05}": b"" for n in range(20_000)}), "too many files"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_card_is_refused_in_one_sentence(name: str) -> None:
    data, says = BAD[name]
    with pytest.raises(InvalidCard) as error:
        read_card(data)
    message = error.value.message
    assert any(part in message for part in says.split("|")), message
    assert len(message) < 200
    assert message.endswith(".")
    json.dumps(error.value.payload())


@pytest.mark.parametrize("start", [b"", SIGNATURE, b"PK\x03\x04", b"{"])
def test_a_file_of_30_mb_is_refused_unread(start: bytes) -> None:
    with pytest.raises(TooLarge, match="10 MB are allowed"):
        read_card(start + bytes(30_000_000))


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_damage_anywhere_is_a_typed_error_or_harmless(data: st.DataObject) -> None:
    icon = {"type": "icon", "name": "main", "uri": "embeded://a.png"}
    archive = charx({"card.json": json_card(v3(assets=[icon])), "a.png": png()}, zipfile.ZIP_STORED)
    whole = data.draw(st.sampled_from([GOOD, archive, json_card(v3())]))
    at = data.draw(st.integers(0, len(whole) - 1))
    cut = data.draw(st.integers(0, 8))
    broken = whole[:at] + data.draw(st.binary(max_size=8)) + whole[at + cut :]
    try:
        read_card(broken)
    except VestigeError as error:
        assert isinstance(error, InvalidCard)


def test_a_zip_made_of_overlapping_members_is_read_within_bounds() -> None:
    """Many directory entries that point at one compressed blob: only card.json is ever inflated."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("card.json", json_card(v2()))
        archive.writestr("big", bytes(5_000_000))
        big = archive.getinfo("big")
        for number in range(500):
            twin = zipfile.ZipInfo(f"big{number}")
            for field in ("header_offset", "file_size", "compress_size", "CRC", "compress_type"):
                setattr(twin, field, getattr(big, field))
            archive.filelist.append(twin)
    read = read_card(out.getvalue())
    assert read.card.name == "Odile"
    assert read.notices == ("501 more files in the card beside its picture: not kept.",)
