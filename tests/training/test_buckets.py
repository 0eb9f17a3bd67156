"""Aspect buckets as the trainer makes them."""

import pytest

from server.training.buckets import Buckets, Placed, batches

SDXL = Buckets((1024, 1024), 512, 2048, 64)


def test_the_sizes_of_sdxl() -> None:
    sizes = SDXL.sizes()
    assert (1024, 1024) in sizes
    assert (832, 1216) in sizes
    assert (1216, 832) in sizes
    assert all(width * height <= 1024 * 1024 and width % 64 == height % 64 == 0 for width, height in sizes)
    assert min(min(size) for size in sizes) == 512


@pytest.mark.parametrize(
    ("size", "bucket"),
    [
        ((1000, 1000), (1024, 1024)),
        ((832, 1216), (832, 1216)),
        ((3000, 4000), (896, 1152)),
        ((4000, 3000), (1152, 896)),
        ((1080, 1920), (768, 1344)),
        ((500, 4000), (512, 2048)),
    ],
)
def test_the_bucket_of_a_picture_has_the_nearest_shape(size: tuple[int, int], bucket: tuple[int, int]) -> None:
    assert SDXL.of(size).bucket == bucket


@pytest.mark.parametrize(
    ("size", "bucket"), [((700, 900), (640, 896)), ((1024, 1024), (1024, 1024)), ((3000, 4000), (832, 1088))]
)
def test_without_enlarging_a_small_picture_keeps_its_size(size: tuple[int, int], bucket: tuple[int, int]) -> None:
    assert Buckets(upscale=False).of(size).bucket == bucket


def test_without_buckets_all_are_cropped_to_one_size() -> None:
    placed = Buckets(enabled=False).of((1024, 2048))
    assert placed.bucket == (1024, 1024)
    assert placed.cut == 0.5


def test_how_much_is_enlarged_and_cut_off() -> None:
    assert Placed((512, 512), (1024, 1024)).scale == 2
    assert Placed((512, 512), (1024, 1024)).cut == 0
    assert Placed((1000, 500), (1000, 1000)).scale == 2
    assert Placed((1000, 500), (1000, 1000)).cut == 0.5


def test_a_batch_holds_pictures_of_one_bucket() -> None:
    square, tall = SDXL.of((1024, 1024)), SDXL.of((832, 1216))
    assert batches([(square, 10), (square, 10), (tall, 3)], 4) == 5 + 1
    assert batches([], 4) == 0
