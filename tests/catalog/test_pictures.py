"""Strangers' pictures come out upright, small, ours, and without a word about where they were taken."""

import io

import pytest
from PIL import Image, PngImagePlugin

from server.catalog.pictures import portrait
from server.errors import InvalidRequest, TooLarge
from tests.catalog.cardfiles import SIGNATURE, chunk, header, png

RED, BLUE = (255, 0, 0), (0, 0, 255)


def saved(image: Image.Image, kind: str, **more: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **more)
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def two_halves(size: tuple[int, int] = (40, 20)) -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", size, RED)
    image.paste(BLUE, (size[0] // 2, 0, *size))
    return image


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize(
    ("size", "fitted"),
    [((40, 20), (40, 20)), ((1200, 1800), (512, 768)), ((2000, 1000), (512, 256)), ((3, 3000), (1, 768))],
)
def test_pictures_fit_a_portrait(kind: str, size: tuple[int, int], fitted: tuple[int, int]) -> None:
    image = opened(portrait(saved(Image.new("RGB", size, RED), kind)))
    assert (image.format, image.size) == ("WEBP", fitted)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_kind_of_pixel_is_read(mode: str) -> None:
    image = Image.new("I;16", (40, 20), 40_000) if mode == "I;16" else two_halves().convert(mode)
    result = opened(portrait(saved(image, "JPEG" if mode == "CMYK" else "PNG")))
    assert result.size == (40, 20)
    if mode == "I;16":
        assert abs(result.convert("L").tobytes()[0] - 40_000 // 256) < 4


def test_transparency_stays() -> None:
    image = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 10, 20))
    result = opened(portrait(saved(image, "PNG"))).getchannel("A").tobytes()
    assert (result[0], result[19]) == (255, 0)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_photo_is_turned_upright_and_loses_its_metadata(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    exif[0x010F] = "Canary Camera"
    exif.get_ifd(0x8825)[1] = "N"
    result = portrait(saved(two_halves(), kind, exif=exif))
    image = opened(result)
    assert image.size == (20, 40)
    assert not image.getexif()
    assert {"exif", "icc_profile", "xmp"}.isdisjoint(image.info)
    assert b"Canary" not in result
    top, bottom = (opened(result).convert("RGB").crop((5, y, 6, y + 1)).tobytes() for y in (5, 35))
    assert top[0] > 200 > 50 > top[2]
    assert bottom[2] > 200 > 50 > bottom[0]


def test_only_the_first_frame_of_an_animation_is_kept() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    image = opened(portrait(saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)))
    assert getattr(image, "n_frames", 1) == 1
    assert image.convert("RGB").tobytes()[0] > 200


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "not a picture"),
        (saved(two_halves(), "GIF"), "not a picture"),
        (saved(two_halves(), "TIFF"), "not a picture"),
        (saved(two_halves(), "BMP"), "not a picture"),
        (png()[:-25], "damaged"),
        (saved(two_halves((400, 300)), "JPEG")[:400], "damaged"),
        (saved(two_halves((400, 300)), "WEBP")[:60], "damaged|not a picture"),
        (SIGNATURE + header(6_000, 6_000) + chunk(b"IDAT", b"") + chunk(b"IEND", b""), "24 million"),
        (SIGNATURE + header(60_000, 60_000) + chunk(b"IDAT", b"") + chunk(b"IEND", b""), "24 million"),
    ],
)
def test_what_is_no_harmless_picture_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        portrait(data)
    assert any(part in error.value.message for part in says.split("|")), error.value.message


def test_text_that_inflates_to_megabytes_is_refused() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "A" * 3_000_000, zip=True)
    with pytest.raises(InvalidRequest):
        portrait(saved(two_halves(), "PNG", pnginfo=info))


def test_eleven_megabytes_are_too_many() -> None:
    with pytest.raises(TooLarge):
        portrait(png() + bytes(11_000_000))
