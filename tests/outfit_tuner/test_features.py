"""No picture is encoded twice: not in a process, not in the next, not by two at once. Nothing kept is trusted."""

import logging
import multiprocessing
import os
import time
from pathlib import Path

import pytest
import torch

from comfy_nodes.outfit_tuner.feature_cache import FeatureCache
from comfy_nodes.outfit_tuner.features import FeaturesError, Seen, encode, joined
from comfy_nodes.outfit_tuner.safetensors_header import ModelFileError
from comfy_nodes.outfit_tuner.sockets import Reference, ReferenceFeatures

SIZE, TOKENS, DIM = 8, 5, 6


class LinearEncoder:
    """Sees linear maps of the pixels; counts what it looks at."""

    image_size = SIZE
    preprocessing = "halves, v1"

    def __init__(self, sha256: str = "e" * 64, scale: float = 1.0) -> None:
        self.sha256 = sha256
        self.looked_at = 0
        generator = torch.Generator().manual_seed(0)
        self._weights = torch.randn(TOKENS * DIM, 3 * SIZE * SIZE, generator=generator) * scale

    def pixels(self, image: torch.Tensor) -> torch.Tensor:
        image = torch.nn.functional.interpolate(image.movedim(-1, 1), size=(SIZE, SIZE))
        return image * 2 - 1

    def look(self, pixels: torch.Tensor) -> Seen:
        assert pixels.shape == (1, 3, SIZE, SIZE)
        self.looked_at += 1
        hidden = (pixels.flatten() @ self._weights.T).view(TOKENS, DIM) + 1
        return Seen(hidden.mean(0), hidden)


def reference(name: str, *, fitting: str = "pad", mask: torch.Tensor | None = None) -> Reference:
    generator = torch.Generator().manual_seed(sum(name.encode()))
    return Reference(torch.rand(1, 16, 16, 3, generator=generator), mask, name * 64, fitting)


def same(one: ReferenceFeatures, other: ReferenceFeatures) -> bool:
    parts = ("pooled", "hidden", "blank_hidden_image", "blank_hidden_pixels")
    return all(torch.equal(getattr(one, part), getattr(other, part)) for part in parts) and one.key == other.key


def test_what_is_seen_has_the_shapes_and_the_blanks_are_black_and_zero() -> None:
    encoder = LinearEncoder()
    picture = reference("a")
    found = encode(encoder, FeatureCache(None), picture, 0.5)
    seen = encoder.look(encoder.pixels(picture.image))
    black = encoder.look(encoder.pixels(torch.zeros(1, SIZE, SIZE, 3)))
    zeros = encoder.look(torch.zeros(1, 3, SIZE, SIZE))
    torch.testing.assert_close(found.pooled, seen.pooled.unsqueeze(0))
    torch.testing.assert_close(found.hidden, seen.hidden.unsqueeze(0))
    torch.testing.assert_close(found.blank_hidden_image, black.hidden.unsqueeze(0))
    torch.testing.assert_close(found.blank_hidden_pixels, zeros.hidden.unsqueeze(0))
    assert found.weights == (0.5,)
    assert not torch.equal(found.blank_hidden_image, found.blank_hidden_pixels)


def test_each_picture_is_encoded_once_and_the_blanks_once_per_encoder() -> None:
    encoder, cache = LinearEncoder(), FeatureCache(None)
    first = encode(encoder, cache, reference("a"))
    assert encoder.looked_at == 3
    encode(encoder, cache, reference("b"))
    assert encoder.looked_at == 4
    assert same(encode(encoder, cache, reference("a")), first)
    assert encoder.looked_at == 4


def test_whoever_gets_features_may_do_with_them_what_they_like() -> None:
    encoder, cache = LinearEncoder(), FeatureCache(None)
    first = encode(encoder, cache, reference("a"))
    kept = first.hidden.clone()
    for part in (first.pooled, first.hidden, first.blank_hidden_image, first.blank_hidden_pixels):
        part.zero_()
    assert torch.equal(encode(encoder, cache, reference("a")).hidden, kept)


def test_the_next_process_finds_it_on_disk_bit_by_bit(tmp_path: Path) -> None:
    first = encode(LinearEncoder(), FeatureCache(tmp_path), reference("a"))
    encoder = LinearEncoder()
    assert same(encode(encoder, FeatureCache(tmp_path), reference("a")), first)
    assert encoder.looked_at == 0


@pytest.mark.parametrize(
    ("encoder", "picture"),
    [
        (LinearEncoder(), reference("b")),
        (LinearEncoder(), reference("a", fitting="letterbox")),
        (LinearEncoder("f" * 64), reference("a")),
    ],
)
def test_another_picture_fitting_or_encoder_is_another_entry(encoder: LinearEncoder, picture: Reference) -> None:
    cache = FeatureCache(None)
    first = encode(LinearEncoder(), cache, reference("a"))
    assert encode(encoder, cache, picture).key != first.key
    assert encoder.looked_at >= 1


def test_other_preprocessing_is_another_entry() -> None:
    cache = FeatureCache(None)
    encode(LinearEncoder(), cache, reference("a"))
    newer = LinearEncoder()
    newer.preprocessing = "halves, v2"
    encode(newer, cache, reference("a"))
    assert newer.looked_at == 3


def test_outside_the_mask_pixel_values_are_zero() -> None:
    mask = torch.zeros(1, 16, 16)
    mask[:, :, 8:] = 1
    encoder = LinearEncoder()
    masked = encode(encoder, FeatureCache(None), reference("a", fitting="pad, mask m", mask=mask))
    pixels = encoder.pixels(reference("a").image)
    inside = torch.nn.functional.interpolate(mask.unsqueeze(1), size=(SIZE, SIZE), mode="bicubic", antialias=True)
    seen = encoder.look(pixels * inside)
    torch.testing.assert_close(masked.hidden[0], seen.hidden)


def test_several_references_keep_their_order_and_weights() -> None:
    encoder, cache = LinearEncoder(), FeatureCache(None)
    a, b = (encode(encoder, cache, reference(name), weight) for name, weight in (("a", 1.0), ("b", 0.5)))
    both = joined(a, b)
    assert torch.equal(both.hidden, torch.cat([a.hidden, b.hidden]))
    assert torch.equal(both.pooled, torch.cat([a.pooled, b.pooled]))
    assert both.weights == (1.0, 0.5)
    assert len({both.key, joined(b, a).key, a.key, b.key, joined(a, a).key}) == 5
    assert both.key == joined(a, b).key
    with pytest.raises(FeaturesError, match="different image encoders: use one pair"):
        joined(a, encode(LinearEncoder("f" * 64, scale=2.0), cache, reference("b")))


def test_an_encoder_that_gives_no_numbers_is_refused_and_nothing_is_kept(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="its file is damaged: download it again"):
        encode(LinearEncoder(scale=float("nan")), FeatureCache(tmp_path), reference("a"))
    assert list(tmp_path.iterdir()) == []


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


@pytest.mark.parametrize("damage", ["bit", "cut", "empty", "pickle"])
def test_a_damaged_entry_is_encoded_again_and_mended(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = encode(LinearEncoder(), FeatureCache(tmp_path), reference("a"))
    whole = {path: path.read_bytes() for path in _entries(tmp_path)}
    for path, content in whole.items():
        flipped = content[:-3] + bytes([content[-3] ^ 1]) + content[-2:]
        path.write_bytes({"bit": flipped, "cut": content[:-4], "empty": b"", "pickle": b"PK\x03\x04"}[damage])
    encoder = LinearEncoder()
    with caplog.at_level(logging.WARNING):
        assert same(encode(encoder, FeatureCache(tmp_path), reference("a")), first)
    assert encoder.looked_at == 3
    assert "damaged and is encoded again" in caplog.text
    assert {path: path.read_bytes() for path in _entries(tmp_path)} == whole


def _encode_many(folder: Path, names: str) -> None:
    encoder, cache = LinearEncoder(), FeatureCache(folder, memory_bytes=1, disk_bytes=4_000)
    for name in names:
        found = encode(encoder, cache, reference(name))
        seen = encoder.look(encoder.pixels(reference(name).image))
        torch.testing.assert_close(found.hidden[0], seen.hidden)


def test_two_processes_at_once_in_a_folder_that_is_too_small_for_either(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [
        context.Process(target=_encode_many, args=(tmp_path, names)) for names in ("abcdefgh" * 3, "hgfedcba" * 3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert not list(tmp_path.glob("*.part"))


def _seen(number: float) -> Seen:
    return Seen(torch.full((256,), number), torch.full((4, 256), number))


def test_the_folder_is_bounded_and_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    size = 6_000  # bytes of an entry, a little more than its numbers
    cache = FeatureCache(tmp_path, memory_bytes=1, disk_bytes=4 * size)
    for at in range(4):
        cache.put(str(at), _seen(at))
        os.utime(tmp_path / f"{at}.safetensors", ns=(at + 1, at + 1))
    cache.put("held", _seen(9))  # out of memory with the others
    os.utime(tmp_path / "held.safetensors", ns=(99, 99))
    FeatureCache(tmp_path).get("1")  # used now
    cache.put("4", _seen(4))
    kept = {path.stem for path in _entries(tmp_path)}
    assert {"1", "4"} <= kept
    assert not {"0", "2"} & kept
    assert sum(path.stat().st_size for path in _entries(tmp_path)) <= 4 * size


def test_memory_is_bounded() -> None:
    cache = FeatureCache(None, memory_bytes=3 * 5 * 256 * 4)
    for at in range(10):
        cache.put(str(at), _seen(at))
    assert [at for at in range(10) if cache.get(str(at)) is not None] == [7, 8, 9]


def test_a_half_written_file_of_a_killed_process_goes(tmp_path: Path) -> None:
    old, new = tmp_path / "a.1-2.part", tmp_path / "b.3-4.part"
    old.touch()
    new.touch()
    hours_ago = time.time() - 2 * 3600
    os.utime(old, (hours_ago, hours_ago))
    FeatureCache(tmp_path).put("x", _seen(1))
    assert not old.exists()
    assert new.exists()


def test_a_folder_that_cannot_be_written_to_is_said_once_and_done_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    cache, encoder = FeatureCache(tmp_path / "file" / "features"), LinearEncoder()
    with caplog.at_level(logging.WARNING):
        encode(encoder, cache, reference("a"))
        encode(encoder, cache, reference("b"))
        encode(encoder, cache, reference("a"))
    assert encoder.looked_at == 4
    assert len(caplog.records) == 1
    assert "encoded anew at each start" in caplog.text


def test_kept_features_are_not_the_callers_tensors() -> None:
    cache, mine = FeatureCache(None), _seen(1)
    cache.put("x", mine)
    mine.hidden.zero_()
    kept = cache.get("x")
    assert kept is not None
    assert bool((kept.hidden == 1).all())
