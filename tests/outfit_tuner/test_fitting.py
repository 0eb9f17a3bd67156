"""The whole picture in a square: nothing is cut off unless it was asked for."""

import numpy as np
import pytest
import torch

from comfy_nodes.outfit_tuner.fitting import MAX_SIDE, Fitting, FittingError, fit
from comfy_nodes.outfit_tuner.pictures import Picture, PictureInfo


def stripes(width: int, height: int, alpha: np.ndarray | None = None) -> Picture:
    """Top red, bottom blue, green between."""
    rgb = np.zeros((height, width, 3), np.uint8)
    third = height // 3
    rgb[:third, :, 0] = rgb[third:-third, :, 1] = rgb[-third:, :, 2] = 255
    return Picture(rgb, alpha, PictureInfo("PNG", width, height))


@pytest.mark.parametrize("way", ["pad", "letterbox"])
@pytest.mark.parametrize("size", [(300, 600), (600, 300), (600, 600), (20, 400), (401, 20), (333, 334)])
def test_all_of_the_picture_is_in_the_square(way: str, size: tuple[int, int]) -> None:
    width, height = size
    fitted = fit(stripes(width, height), Fitting(way, "#808080"))
    side = max(size)
    assert fitted.image.shape == (1, side, side, 3)
    assert fitted.image.dtype == torch.float32
    left, top = (side - width) // 2, (side - height) // 2
    inside = fitted.image[0, top : top + height, left : left + width]
    assert torch.equal((inside * 255).round().to(torch.uint8), torch.from_numpy(stripes(width, height).rgb))
    assert fitted.area.sum() == width * height
    assert fitted.area[0, top, left] == fitted.area[0, top + height - 1, left + width - 1] == 1
    assert fitted.mask is None


def test_pad_goes_on_with_the_border_and_letterbox_with_the_colour() -> None:
    padded = fit(stripes(30, 60), Fitting("pad", "black")).image[0]
    boxed = fit(stripes(30, 60), Fitting("letterbox", "#336699")).image[0]
    assert (padded[0, 0].tolist(), padded[59, 59].tolist()) == ([1, 0, 0], [0, 0, 1])
    assert torch.allclose(boxed[30, 0] * 255, torch.tensor([0x33, 0x66, 0x99]).float())
    assert torch.allclose(boxed[30, 59] * 255, torch.tensor([0x33, 0x66, 0x99]).float())


@pytest.mark.parametrize(("at", "shown"), [(0.0, [1, 0, 0]), (0.5, [0, 1, 0]), (1.0, [0, 0, 1])])
def test_a_crop_is_where_it_was_asked_for(at: float, shown: list[int]) -> None:
    fitted = fit(stripes(20, 60), Fitting("crop", crop_y=at))
    assert fitted.image.shape == (1, 20, 20, 3)
    assert (fitted.image[0, 10] == torch.tensor(shown).float()).all()
    assert fitted.area.min() == 1


def test_a_large_picture_is_scaled_down_whole_and_a_small_one_is_left_alone() -> None:
    large = fit(stripes(3000, 6000), Fitting("letterbox", "white"))
    assert large.image.shape == (1, MAX_SIDE, MAX_SIDE, 3)
    middle = large.image[0, :, MAX_SIDE // 2]
    assert (middle[2].round().tolist(), middle[-3].round().tolist()) == ([1, 0, 0], [0, 0, 1])
    assert fit(stripes(16, 16), Fitting()).image.shape == (1, 16, 16, 3)


def test_what_shows_through_is_the_background_and_what_is_opaque_is_the_item() -> None:
    alpha = np.zeros((60, 40), np.uint8)
    alpha[:, 10:30] = 255
    alpha[30, 5] = 51
    fitted = fit(stripes(40, 60, alpha), Fitting("pad", "#ff00ff"))
    assert fitted.image[0, 5, 12].tolist() == [1, 0, 1]  # transparent
    assert fitted.image[0, 5, 0].tolist() == [1, 0, 1]  # beyond the picture
    assert fitted.image[0, 5, 25].tolist() == [1, 0, 0]
    assert torch.allclose(fitted.image[0, 30, 15], torch.tensor([0.8, 0.2, 0.8]), atol=0.01)
    assert fitted.mask is not None
    assert fitted.mask.shape == (1, 60, 60)
    assert fitted.mask[0, :, 20:40].min() == 1
    assert fitted.mask[0, :, :10].max() == fitted.mask[0, :, 50:].max() == 0
    assert fitted.mask[0, 30, 15] == pytest.approx(0.2)


def test_a_cut_out_that_touches_its_border_is_not_smeared_beyond_it() -> None:
    alpha = np.full((60, 40), 255, np.uint8)
    alpha[0, 0] = 0
    fitted = fit(stripes(40, 60, alpha), Fitting("pad", "white"))
    assert fitted.image[0, 30, 5].tolist() == [1, 1, 1]
    assert fitted.image[0, 30, 15].tolist() == [0, 1, 0]


def test_a_drawn_mask_counts_more_than_transparency_and_goes_along_with_the_crop() -> None:
    alpha = np.zeros((60, 40), np.uint8)
    mask = torch.zeros(1, 60, 40)
    mask[:, 50:] = 1
    fitted = fit(stripes(40, 60, alpha), Fitting("crop", crop_y=1.0), mask)
    assert fitted.mask is not None
    assert fitted.mask.shape == (1, 40, 40)
    assert fitted.mask[0, :30].max() == 0
    assert fitted.mask[0, 30:].min() == 1


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(FittingError, match="The mask is 40 × 61, the picture 40 × 60 pixels"):
        fit(stripes(40, 60), Fitting(), torch.zeros(1, 61, 40))
    with pytest.raises(FittingError):
        fit(stripes(40, 60), Fitting(), torch.zeros(2, 60, 40))


def test_a_mask_that_holds_no_numbers_is_none_of_the_item() -> None:
    fitted = fit(stripes(30, 30), Fitting(), torch.full((30, 30), float("nan")))
    assert fitted.mask is not None
    assert fitted.mask.max() == 0


def test_the_name_tells_every_fitting_apart() -> None:
    alpha = np.full((30, 20), 128, np.uint8)
    masks = [torch.zeros(30, 20), torch.ones(30, 20)]
    names = [
        fit(stripes(20, 30), Fitting()).name,
        fit(stripes(20, 30), Fitting("letterbox")).name,
        fit(stripes(20, 30), Fitting("letterbox", "grey")).name,
        fit(stripes(20, 30), Fitting("crop")).name,
        fit(stripes(20, 30), Fitting("crop", crop_x=0.1)).name,
        fit(stripes(20, 30), Fitting("crop", crop_y=0.1)).name,
        fit(stripes(20, 30, alpha), Fitting()).name,
        *(fit(stripes(20, 30), Fitting(), mask).name for mask in masks),
    ]
    assert len(set(names)) == len(names)
    assert fit(stripes(20, 30), Fitting("letterbox", "GRAY")).name == names[2]


@pytest.mark.parametrize(
    "wrong",
    [
        {"way": "stretch"},
        {"background": "#fff"},
        {"background": "tomato"},
        {"background": "#12345g"},
        {"background": ""},
        {"crop_x": 1.5},
        {"crop_y": -0.1},
        {"crop_x": float("nan")},
    ],
)
def test_a_fitting_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(FittingError):
        Fitting(**wrong)  # pyright: ignore[reportArgumentType]
