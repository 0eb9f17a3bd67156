"""Anybody's file in, plain pixels out; what would show another picture is refused with a sentence."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile, PngImagePlugin

from comfy_nodes.outfit_tuner.pictures import MAX_BYTES, PictureError, PictureInfo, decode, inspect

RED, BLUE = (200, 30, 40), (20, 60, 220)


def halves(mode: str = "RGB", size: tuple[int, int] = (40, 30)) -> Image.Image:
    """Left half red, right half blue."""
    image = Image.new("RGB", size, RED)
    image.paste(BLUE, (size[0] // 2, 0, *size))
    return image.convert(mode)


def saved(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *extra: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(extra) + body + chunk(b"IEND", b"")


def near(pixel: Any, colour: tuple[int, ...], within: int = 12) -> bool:
    return bool(np.abs(np.asarray(pixel, int) - np.asarray(colour)).max() <= within)


@pytest.mark.parametrize(
    "data",
    [
        saved(halves()),
        saved(halves(), "JPEG", quality=95, subsampling=0),
        saved(halves(), "WEBP", lossless=True),
        saved(halves(), "WEBP", quality=95),
        saved(halves("CMYK"), "JPEG", quality=95, subsampling=0),
        saved(halves().quantize(200)),
        saved(halves().quantize(2), optimize=True),
        saved(halves("RGBA")),
        saved(halves(), interlace=1),
        saved(halves(), "JPEG", quality=95, subsampling=0, progressive=True),
        saved(halves(), "MPO", quality=95, subsampling=0, save_all=True, append_images=[Image.new("RGB", (40, 30))]),
    ],
    ids=[
        "png",
        "jpeg",
        "webp",
        "webp-lossy",
        "cmyk",
        "palette",
        "palette-1-bit",
        "rgba",
        "interlaced",
        "progressive",
        "phone",
    ],
)
def test_what_is_stored_differently_is_the_same_picture(data: bytes) -> None:
    picture = decode(data)
    assert picture.rgb.shape == (30, 40, 3)
    assert picture.rgb.dtype == np.uint8
    assert near(picture.rgb[15, 5], RED)
    assert near(picture.rgb[15, 35], BLUE)
    assert picture.alpha is None
    assert picture.info == inspect(data) == PictureInfo(picture.info.format, 40, 30)
    assert picture.info.format in ("PNG", "JPEG", "WEBP")


GREYS = np.array([[0, 128, 255]] * 3, np.uint8).repeat(8, 0).repeat(8, 1)


@pytest.mark.parametrize(
    "data",
    [
        saved(Image.fromarray(GREYS)),
        saved(Image.fromarray(GREYS).convert("LA")),
        saved(Image.fromarray(GREYS.astype(np.uint16) * 257)),
        png(24, 24, 16, 2, b"".join(b"\0" + row.repeat(6).tobytes() for row in GREYS)),
        saved(Image.fromarray(GREYS), "JPEG", quality=100),
    ],
    ids=["8-bit", "with-alpha", "16-bit", "16-bit-rgb", "jpeg"],
)
def test_grey_keeps_its_levels_at_any_depth(data: bytes) -> None:
    rgb = decode(data).rgb
    assert [near(rgb[12, column], (level,) * 3, 1) for column, level in ((4, 0), (12, 128), (20, 255))] == [True] * 3


def test_one_bit_is_black_and_white() -> None:
    rgb = decode(saved(Image.fromarray(GREYS > 100))).rgb
    assert (rgb[0, 0].tolist(), rgb[0, 23].tolist()) == ([0, 0, 0], [255, 255, 255])


def transparent_left(mode: str) -> bytes:
    image = halves("RGBA")
    image.paste((*RED, 0), (0, 0, 20, 30))
    if mode == "P":
        palette = image.convert("RGB").quantize(2)
        left = palette.getpixel((0, 0))
        assert isinstance(left, int)
        return saved(palette, transparency=left)
    if mode == "RGB":
        return saved(image.convert("RGB"), transparency=RED)
    if mode == "L":
        return saved(image.convert("RGB").convert("L"), transparency=image.convert("RGB").convert("L").getpixel((0, 0)))
    if mode == "I;16":
        rows = b"".join(b"\0" + struct.pack(">40H", *[300] * 20, *[60000] * 20) for _ in range(30))
        return png(40, 30, 16, 0, rows, chunk(b"tRNS", struct.pack(">H", 300)))
    if mode == "WEBP":
        return saved(image, "WEBP", lossless=True)
    return saved(image.convert(mode))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB", "L", "I;16", "WEBP"])
def test_transparency_is_told_apart_from_the_colours(mode: str) -> None:
    picture = decode(transparent_left(mode))
    assert picture.alpha is not None
    assert (picture.alpha.shape, picture.alpha.dtype) == ((30, 40), np.uint8)
    assert picture.alpha[:, :20].max() == 0
    assert picture.alpha[:, 20:].min() == 255


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_upright(orientation: int, format: str) -> None:
    """The picture's top left is red whatever way the camera was held."""
    stored = Image.new("RGB", (64, 32), BLUE)
    corner = {1: (0, 0), 2: (32, 0), 3: (32, 16), 4: (0, 16), 5: (0, 0), 6: (0, 16), 7: (32, 16), 8: (32, 0)}
    x, y = corner[orientation]
    stored.paste(RED, (x, y, x + 32, y + 16))
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decode(saved(stored, format, exif=exif, quality=95))
    upright = (32, 64) if orientation < 5 else (64, 32)
    assert picture.rgb.shape[:2] == upright
    assert near(picture.rgb[4, 4], RED)
    assert near(picture.rgb[-4, -4], BLUE)
    assert (picture.info.height, picture.info.width) == upright
    assert inspect(saved(stored, format, exif=exif)) == picture.info


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about the EXIF
@pytest.mark.parametrize("exif", [b"Exif\0\0nonsense", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0"])
def test_exif_that_cannot_be_read_turns_nothing(exif: bytes) -> None:
    assert decode(saved(halves(), "JPEG", exif=exif)).rgb.shape == (30, 40, 3)


def test_the_colours_of_a_profile_become_srgb() -> None:
    """The same numbers mean other colours in another space: a Lab profile's are far from sRGB's."""
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    plain, swapped = saved(halves()), saved(halves(), icc_profile=lab)
    assert np.array_equal(decode(plain).rgb, decode(swapped).rgb)  # of a Lab profile on RGB pixels nothing can be made
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(decode(plain).rgb, decode(saved(halves(), icc_profile=srgb)).rgb)
    assert near(decode(saved(halves(), icc_profile=red_and_blue_swapped(srgb))).rgb[15, 5], RED[::-1], 40)


def red_and_blue_swapped(srgb: bytes) -> bytes:
    """An sRGB profile whose red and blue primaries are swapped, under another name."""
    table = {srgb[at : at + 4]: at for at in range(132, 132 + 12 * struct.unpack(">I", srgb[128:132])[0], 12)}
    data = bytearray(srgb.replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be")))
    red, blue = (bytes(srgb[table[name] + 4 : table[name] + 12]) for name in (b"rXYZ", b"bXYZ"))
    data[table[b"rXYZ"] + 4 : table[b"rXYZ"] + 12] = blue
    data[table[b"bXYZ"] + 4 : table[b"bXYZ"] + 12] = red
    return bytes(data)


@pytest.mark.parametrize("profile", [b"x", b"\0" * 200, b"acsp" * 1000])
def test_a_profile_that_makes_no_sense_is_ignored(profile: bytes) -> None:
    assert near(decode(saved(halves(), icc_profile=profile)).rgb[15, 5], RED, 0)


def animated(format: str) -> bytes:
    return saved(halves(), format, save_all=True, append_images=[Image.new("RGB", (40, 30), BLUE)], duration=100)


def bomb() -> bytes:
    return png(60_000, 60_000, 8, 0, b"\0")


REFUSED: list[tuple[str, Callable[[], bytes], str]] = [
    ("nothing", lambda: b"", "empty"),
    ("text", lambda: b"hello, this is no picture at all", "not_a_picture"),
    ("svg", lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', "not_a_picture"),
    ("gif", lambda: saved(halves(), "GIF"), "not_a_picture"),
    ("bmp", lambda: saved(halves(), "BMP"), "not_a_picture"),
    ("tiff", lambda: saved(halves(), "TIFF"), "not_a_picture"),
    ("avif", lambda: saved(halves(), "AVIF"), "not_a_picture"),
    ("postscript", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n", "not_a_picture"),
    ("apng", lambda: animated("PNG"), "animated"),
    ("animated webp", lambda: animated("WEBP"), "animated"),
    ("1 x 10000", lambda: saved(Image.new("RGB", (1, 10_000))), "sliver"),
    ("10000 x 1", lambda: saved(Image.new("RGB", (10_000, 1)), "JPEG"), "sliver"),
    ("21 : 1", lambda: saved(Image.new("RGB", (420, 20))), "sliver"),
    ("1 x 1", lambda: saved(Image.new("RGB", (1, 1))), "sliver"),
    ("bomb", bomb, "too_many_pixels"),
    ("65 million pixels", lambda: png(13_000, 5_000, 1, 0, b"\0"), "too_many_pixels"),
    ("truncated png", lambda: saved(halves())[:-30], "damaged"),
    ("png without its end", lambda: saved(halves())[:-12], "damaged"),
    ("truncated jpeg", lambda: saved(halves(size=(400, 300)), "JPEG")[:-400], "damaged"),
    ("truncated webp", lambda: saved(halves(size=(400, 300)), "WEBP")[:-40], "damaged"),
    ("header only", lambda: saved(halves())[:33], "damaged"),
    ("pixels that are missing", lambda: png(40, 30, 8, 2, b"\0" * 50), "damaged"),
    ("too many bytes", lambda: saved(halves()) + bytes(MAX_BYTES), "too_large"),
    ("text bomb", lambda: png(40, 30, 8, 2, b"", chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**26)))), "damaged"),
    ("endless passes", lambda: scans(saved(halves(size=(2000, 2000)), "JPEG", progressive=True), 500), "too_slow"),
]


def scans(jpeg: bytes, more: int) -> bytes:
    """The JPEG with its last pass over the pixels repeated."""
    last = jpeg.rfind(b"\xff\xda")
    return jpeg[:-2] + jpeg[last:-2] * more + jpeg[-2:]


@pytest.mark.parametrize(("build", "code"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refused_with_a_reason(build: Callable[[], bytes], code: str) -> None:
    with pytest.raises(PictureError) as refused:
        decode(build())
    assert refused.value.code == code
    assert str(refused.value).endswith(".")


def test_a_cut_off_picture_is_refused_even_where_another_pack_told_pillow_to_put_up_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    thumbnail = saved(halves(), "JPEG")
    exif = Image.Exif()
    exif[0x010E] = thumbnail.decode("latin-1")
    big = halves(size=(400, 300))
    for data in (saved(big), saved(big, "JPEG", exif=exif), saved(big, "WEBP")):
        decode(data)
        with pytest.raises(PictureError, match="cut off"):
            decode(data[: len(data) * 3 // 4])


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about what is broken
def test_any_file_broken_anywhere_is_decoded_or_refused_and_nothing_else() -> None:
    random = np.random.default_rng(7)
    metadata = PngImagePlugin.PngInfo()
    metadata.add_text("parameters", "a dress " * 50, zip=True)
    sources = [saved(halves("RGBA"), pnginfo=metadata), saved(halves(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0")]
    sources.append(saved(halves("RGBA"), "WEBP"))
    for source in sources:
        for _ in range(150):
            data = bytearray(source)
            for at in random.integers(0, len(data), 4):
                data[at] = random.integers(256)
            try:
                decode(bytes(data[: random.integers(1, len(data) + 1)] if random.random() < 0.3 else data))
            except PictureError as refused:
                assert str(refused)
