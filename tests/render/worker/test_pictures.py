"""What a host sends becomes a clean picture, or is refused."""

import io

import pytest
from PIL import Image, PngImagePlugin

from server.render.worker.pictures import FRAME_SIDE, Damaged, clean, small


def png(size: tuple[int, int] = (96, 160), mode: str = "RGB") -> bytes:
    image = Image.radial_gradient("L").resize(size).convert(mode)
    told = PngImagePlugin.PngInfo()
    told.add_text("prompt", "the whole workflow")
    told.add_text("parameters", "masterpiece, a secret")
    out = io.BytesIO()
    image.save(out, "PNG", pnginfo=told)
    return out.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
def test_the_pixels_stay_and_every_word_goes(mode: str) -> None:
    made = clean(png(mode=mode))
    assert (made.width, made.height) == (96, 160)
    with Image.open(io.BytesIO(made.data)) as image:
        assert (image.format, image.size, image.mode) == ("WEBP", (96, 160), "RGB")
        assert not {"exif", "xmp", "icc_profile", "prompt", "parameters"} & image.info.keys()
    assert b"secret" not in made.data and b"workflow" not in made.data


def test_exif_goes_too() -> None:
    exif = Image.Exif()
    exif[0x010E] = "a secret description"
    out = io.BytesIO()
    Image.new("RGB", (32, 32)).save(out, "JPEG", exif=exif)
    assert b"secret" in out.getvalue()
    assert b"secret" not in clean(out.getvalue()).data
    assert b"secret" not in small(out.getvalue())


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_a_picture_that_is_cut_off_is_none(share: float) -> None:
    whole = png((256, 256))
    with pytest.raises(Damaged):
        clean(whole[: int(len(whole) * share)])


@pytest.mark.parametrize(
    "data",
    [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"GIF89a" + bytes(64), b"{}", png()[:40] + bytes(400)],
    ids=["svg", "gif", "json", "broken"],
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(Damaged):
        clean(data)


def test_one_larger_than_any_render_is_refused_before_it_is_decoded() -> None:
    out = io.BytesIO()
    Image.new("1", (16_000, 16_000)).save(out, "PNG")
    with pytest.raises(Damaged):
        clean(out.getvalue())


def test_a_live_preview_is_small() -> None:
    with Image.open(io.BytesIO(small(png((832, 1216))))) as image:
        assert image.format == "JPEG" and max(image.size) == FRAME_SIDE
