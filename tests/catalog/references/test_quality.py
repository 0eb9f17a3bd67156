"""What a shop keeper is told about a picture, on pictures that are drawn: above all, nothing about a good one."""

from collections.abc import Callable

import pytest
from PIL import Image

from server.catalog.references import References
from server.catalog.references.quality import findings_of
from tests.catalog.references.conftest import saved
from tests.catalog.references.drawings import (
    GREY,
    HAIR,
    NAVY,
    SKIN,
    TAN,
    WHITE,
    bottle,
    dress,
    face,
    handbag,
    on_a_hanger,
    sheet,
    shoes,
    varsity_jacket,
    wallpaper,
    worn,
)

DARK, PALE = (120, 76, 52), (245, 210, 190)


def kinds(image: Image.Image) -> list[str]:
    return [finding.kind for finding in findings_of(image)]


@pytest.mark.parametrize("backdrop", [WHITE, GREY, (20, 20, 24), (90, 140, 200)])
@pytest.mark.parametrize("item", [dress, handbag, shoes, bottle, on_a_hanger, varsity_jacket])
def test_a_good_picture_gets_no_remark(
    item: Callable[[Image.Image], Image.Image], backdrop: tuple[int, int, int]
) -> None:
    assert kinds(item(sheet(backdrop))) == []


@pytest.mark.parametrize("colour", [NAVY, TAN, SKIN, HAIR, PALE, (250, 250, 250), (200, 30, 60)])
def test_nor_does_any_colour(colour: tuple[int, int, int]) -> None:
    assert kinds(dress(sheet(), colour)) == []
    assert kinds(handbag(sheet(GREY), colour)) == []


@pytest.mark.parametrize("skin", [SKIN, DARK])
@pytest.mark.parametrize("backdrop", [WHITE, GREY])
def test_somebody_who_wears_it_is_seen(skin: tuple[int, int, int], backdrop: tuple[int, int, int]) -> None:
    assert "person" in kinds(worn(sheet(backdrop), skin))


@pytest.mark.parametrize("size", [300, 500])
def test_a_large_face_is_seen_before_any_backdrop(size: int) -> None:
    box = (400 - size // 2, 300, 400 + size // 2, 300 + size)
    assert "person" in kinds(face(sheet(), box))
    assert "person" in kinds(face(wallpaper(), box))


def test_a_busy_background_is_seen_whatever_stands_before_it() -> None:
    for item in (dress, handbag, shoes):
        assert kinds(item(wallpaper())) == ["busy_background"]
    assert kinds(wallpaper()) == ["busy_background"]


@pytest.mark.parametrize(
    ("at", "edges"),
    [
        ((0, 300), "bottom"),
        ((0, -300), "top"),
        ((-350, 0), "left"),
        ((350, 0), "right"),
    ],
)
def test_an_item_that_goes_on_beyond_the_edge(at: tuple[int, int], edges: str) -> None:
    (finding,) = findings_of(dress(sheet(), at=at))
    assert finding.kind == "cropped"
    assert f"at the {edges}:" in finding.text


def test_an_item_that_goes_on_beyond_two_edges() -> None:
    (finding,) = findings_of(dress(sheet(size=(800, 640)), at=(0, -210)))
    assert "at the top and bottom:" in finding.text


def test_a_floor_is_no_item_that_is_cut_off() -> None:
    image = sheet()
    image.paste((225, 220, 214), (0, 900, 800, 1000))
    assert kinds(dress(image)) == []


def test_small_pictures_and_small_items() -> None:
    image = dress(sheet())
    (finding,) = findings_of(image.resize((200, 250)))
    assert (finding.kind, "200 x 250 pixels" in finding.text) == ("small", True)
    far = sheet(size=(1600, 2000))
    far.paste(image.resize((160, 200)), (700, 800))
    (finding,) = findings_of(far)
    assert (finding.kind, "fills only about" in finding.text) == ("small", True)


@pytest.mark.parametrize("size", [(1, 1), (1, 2_000), (2_000, 3), (16, 16), (17, 600), (600, 33), (300, 300)])
def test_pictures_of_any_shape_are_looked_at(size: tuple[int, int]) -> None:
    assert set(kinds(Image.new("RGB", size, NAVY))) <= {"small"}
    assert "person" not in kinds(Image.effect_noise(size, 90).convert("RGB"))


def test_every_finding_is_a_sentence_that_says_what_to_do() -> None:
    pictures = (worn(sheet()), dress(wallpaper()), dress(sheet(), at=(0, 300)), dress(sheet()).resize((99, 99)))
    for image in pictures:
        for finding in findings_of(image):
            assert ": use " in finding.text or ": cut " in finding.text or ": crop " in finding.text
            assert finding.text.endswith(".")


async def test_findings_are_kept_with_the_reference(references: References) -> None:
    brought = await references.add(saved(worn(wallpaper())), "home", "ada")
    assert "busy_background" in [finding.kind for finding in brought.findings]
    assert await references.get(brought.sha256) == brought
