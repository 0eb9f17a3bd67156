"""A preset's pins against what is loaded: what differs is named, what is not known is not compared."""

import logging

import pytest

from comfy_nodes.outfit_tuner.lineage import Lineage
from comfy_nodes.outfit_tuner.pins import Loaded, PinsError, check_pins, misfits
from comfy_nodes.outfit_tuner.tuning import Pins, Tuning, TuningValues

A, B = "a" * 64, "b" * 64
PINNED = Pins(base_family="sdxl", base=A, adapter=A, encoder=A)
SDXL_SHAPE = Lineage(cross_dim=2048)


def tuning(pins: Pins = PINNED, on_misfit: str = "refuse") -> Tuning:
    return Tuning(TuningValues(), pins, "dress@2", on_misfit)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("loaded", "what"),
    [
        (Loaded(), []),
        (Loaded(SDXL_SHAPE, A, A, A), []),
        (Loaded(SDXL_SHAPE, A, B, A), ["the IP-Adapter"]),
        (Loaded(SDXL_SHAPE, A, A, B), ["the image encoder"]),
        (Loaded(SDXL_SHAPE, B, None, None), ["the checkpoint"]),
        (Loaded(Lineage(cross_dim=768), B, A, B), ["the base family", "the checkpoint", "the image encoder"]),
    ],
)
def test_each_file_that_differs_is_named(loaded: Loaded, what: list[str]) -> None:
    assert [misfit.what for misfit in misfits(tuning(), loaded)] == what


@pytest.mark.parametrize(
    ("pinned", "lineage", "fits"),
    [
        ("sdxl", Lineage(2048, "sdxl"), True),
        ("sdxl", Lineage(2048, "pony"), False),
        ("sdxl", Lineage(2048), True),  # a merge that says nothing of itself may be anything of SDXL's shape
        ("pony", Lineage(2048), True),
        ("pony", Lineage(2048, "illustrious"), False),
        ("pony", Lineage(768, "sd15"), False),
        ("pony", Lineage(768), False),
        ("sd15", Lineage(768, "sd15"), True),
        ("sd15", Lineage(2048), False),
        ("sd15", Lineage(), True),
    ],
)
def test_a_family_is_told_by_what_is_known_of_it(pinned: str, lineage: Lineage, fits: bool) -> None:
    assert (misfits(tuning(Pins(base_family=pinned)), Loaded(lineage)) == ()) == fits


def test_nothing_pinned_fits_everything() -> None:
    assert misfits(tuning(Pins()), Loaded(Lineage(768), B, B, B)) == ()


def test_a_refusal_names_both_files_and_what_to_do() -> None:
    with pytest.raises(PinsError) as caught:
        check_pins(tuning(), Loaded(Lineage(768), None, B, A))
    assert str(caught.value) == (
        "dress@2 does not fit: the base family is Stable Diffusion 1.5 and the preset was tuned on SDXL; "
        "the IP-Adapter is bbbbbbbbbb… and the preset was tuned on aaaaaaaaaa…. "
        "Load those files, choose another preset, or set on_misfit to warn and look at the picture twice."
    )


def test_a_warning_goes_on_and_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert [misfit.what for misfit in check_pins(tuning(on_misfit="warn"), Loaded(adapter=B))] == ["the IP-Adapter"]
    assert "dress@2 does not fit: the IP-Adapter is" in caplog.text
