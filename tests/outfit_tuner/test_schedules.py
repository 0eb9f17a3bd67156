"""Which layers see the reference, and how strongly."""

from __future__ import annotations

import pytest

from comfy_nodes.outfit_tuner.schedules import (
    WEIGHT_TYPES,
    Block,
    LayerWeight,
    ScheduleError,
    layer_schedule,
    parse_layer_weights,
)

SDXL: tuple[Block, ...] = ("input",) * 4 + ("middle",) + ("output",) * 6
SD15: tuple[Block, ...] = ("input",) * 6 + ("middle",) + ("output",) * 9
STYLE_15 = [0, 1, 2, 3, 9, 10, 11, 12, 13, 14, 15]


def weights(weight_type: str, blocks: tuple[Block, ...], layer_weights: str = "") -> dict[int, float]:
    schedule = layer_schedule(weight_type, 2.0, layer_weights, blocks, composition_weight=1.0)
    return {layer: round(share.weight, 9) for layer, share in enumerate(schedule) if share is not None}


def opposed(weight_type: str, blocks: tuple[Block, ...], layer_weights: str = "") -> set[int]:
    schedule = layer_schedule(weight_type, 2.0, layer_weights, blocks, composition_weight=1.0)
    return {layer for layer, share in enumerate(schedule) if share is not None and share.opposed}


@pytest.mark.parametrize(
    ("weight_type", "first", "middle", "last"),
    [
        ("linear", 2.0, 2.0, 2.0),
        ("ease in", 2.0, 0.1 + 1.9 * (1 - 4 / 11), 0.1 + 1.9 * (1 - 10 / 11)),
        ("ease out", 0.1, 0.1 + 1.9 * 4 / 11, 0.1 + 1.9 * 10 / 11),
        ("ease in-out", 0.1, 0.1 + 1.9 * (1 - 1.5 / 5.5), 0.1 + 1.9 * (1 - 4.5 / 5.5)),
        ("reverse in-out", 2.0, 0.1 + 1.9 * 1.5 / 5.5, 0.1 + 1.9 * 4.5 / 5.5),
        ("weak input", 0.4, 2.0, 2.0),
        ("weak middle", 2.0, 0.4, 2.0),
        ("weak output", 2.0, 2.0, 0.4),
        ("strong input", 2.0, 0.4, 0.4),
        ("strong middle", 0.4, 2.0, 0.4),
        ("strong output", 0.4, 0.4, 2.0),
    ],
)
def test_types_for_all_layers(weight_type: str, first: float, middle: float, last: float) -> None:
    found = weights(weight_type, SDXL)
    assert (found[0], found[4], found[10]) == pytest.approx((first, middle, last))
    assert len(found) == 11
    assert len(weights(weight_type, SD15)) == 16
    assert not opposed(weight_type, SDXL)


@pytest.mark.parametrize(
    ("weight_type", "blocks", "wanted"),
    [
        ("style transfer", SDXL, {6: 2.0}),
        ("style transfer", SD15, dict.fromkeys(STYLE_15, 2.0)),
        ("composition", SDXL, {3: 2.0}),
        ("composition", SD15, {4: 0.5, 5: 2.0}),
        ("strong style transfer", SDXL, dict.fromkeys([0, 1, 2, 4, 5, 6, 7, 8, 9, 10], 2.0)),
        ("strong style transfer", SD15, dict.fromkeys([*range(4), *range(6, 16)], 2.0)),
        ("style and composition", SDXL, {3: 1.0, 6: 2.0}),
        ("style and composition", SD15, {**dict.fromkeys(STYLE_15, 2.0), 4: 0.25, 5: 1.0}),
        ("strong style and composition", SDXL, dict.fromkeys(range(11), 2.0)),
        ("strong style and composition", SD15, dict.fromkeys(range(16), 2.0)),
        ("style transfer precise", SDXL, {3: 2.0, 6: 2.0}),
        ("style transfer precise", SD15, {**dict.fromkeys(STYLE_15, 2.0), 4: 0.5, 5: 2.0}),
        ("composition precise", SDXL, {**dict.fromkeys(range(11), 0.2), 3: 2.0, 6: 2.0}),
        ("composition precise", SD15, {**dict.fromkeys(STYLE_15, 2.0), 4: 0.5, 5: 2.0, 6: 0.2, 7: 0.2, 8: 0.2}),
    ],
)
def test_types_for_some_layers(weight_type: str, blocks: tuple[Block, ...], wanted: dict[int, float]) -> None:
    assert weights(weight_type, blocks) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("weight_type", "blocks", "wanted"),
    [
        ("style transfer precise", SDXL, {3}),
        ("style transfer precise", SD15, {4, 5}),
        ("composition precise", SDXL, set(range(11)) - {3}),
        ("composition precise", SD15, set(range(16)) - {4, 5}),
        ("strong style transfer", SDXL, set()),
    ],
)
def test_precise_types_oppose_the_other_layers(weight_type: str, blocks: tuple[Block, ...], wanted: set[int]) -> None:
    assert opposed(weight_type, blocks) == wanted


def test_a_string_takes_the_type_s_place_but_for_what_is_opposed() -> None:
    text = " 3:0.5, 6 : 1.0,0:-1, 7:0 "
    assert weights("ease in", SDXL, text) == {3: 1.0, 6: 2.0, 0: -2.0}
    assert opposed("ease in", SDXL, text) == set()
    assert opposed("style transfer precise", SDXL, text) == {3}
    assert opposed("composition precise", SDXL, text) == {0, 6}


@pytest.mark.parametrize("weight_type", WEIGHT_TYPES)
def test_no_weight_is_no_layer(weight_type: str) -> None:
    found = layer_schedule(weight_type, 0.0, "", SDXL, composition_weight=0.0)
    assert found == (None,) * 11


def test_every_type_is_known_on_both_families() -> None:
    for weight_type in WEIGHT_TYPES:
        for blocks in (SDXL, SD15):
            assert any(layer_schedule(weight_type, 1.0, "", blocks, composition_weight=1.0))


def test_another_unet_has_the_types_for_all_layers_only() -> None:
    blocks: tuple[Block, ...] = ("input", "middle", "output")
    assert layer_schedule("weak output", 1.0, "", blocks, composition_weight=1.0)[2] == LayerWeight(0.2)
    assert weights("linear", blocks, "1:0.25") == {1: 0.5}
    with pytest.raises(ScheduleError, match=r"known for SDXL and Stable Diffusion 1.5 only; this model has 3"):
        layer_schedule("style transfer", 1.0, "", blocks, composition_weight=1.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3", "write layer:factor pairs"),
        ("3:", "write layer:factor pairs"),
        ("3:a", "write layer:factor pairs"),
        ("3:0.5,", "write layer:factor pairs"),
        ("3:0.5;6:1", "write layer:factor pairs"),
        ("1.5:1", "write layer:factor pairs"),
        ("-1:1", "count from 0"),
        ("3:nan", "finite"),
        ("3:1e999", "finite"),
        ("3:1,3:2", "names layer 3 twice"),
    ],
)
def test_a_string_that_cannot_be_read_is_refused(text: str, message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        parse_layer_weights(text)


def test_a_layer_the_model_does_not_have_is_refused() -> None:
    with pytest.raises(ScheduleError, match="names layer 11: this model's layers are 0 to 10"):
        layer_schedule("linear", 1.0, "11:1", SDXL, composition_weight=1.0)


def test_a_type_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ScheduleError, match=r"weight_type is 'lineal': it must be one of linear, "):
        layer_schedule("lineal", 1.0, "", SDXL, composition_weight=1.0)
