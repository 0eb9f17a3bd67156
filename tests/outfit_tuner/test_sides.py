"""Which conditionings of a model call are positive, and what each one shows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from comfy_nodes.outfit_tuner.attention import NEGATIVE, POSITIVE
from comfy_nodes.outfit_tuner.masks import Crop
from comfy_nodes.outfit_tuner.sides import chunk_crops, chunk_sides, chunk_tiles, note_conditionings, note_guider

LATENT = torch.zeros(1, 4, 16, 32)


def cond(uuid: str, **more: Any) -> dict[str, Any]:
    return {"uuid": uuid, **more}


def options_of_a_call(
    guider_conds: dict[str, list[dict[str, Any]] | None], conds: list[Any], order: list[int], uuids: list[str]
) -> dict[str, Any]:
    """What the model call is told, after the two wrappers, as ComfyUI calls them."""
    guider = SimpleNamespace(conds=guider_conds, model_options={"transformer_options": {"mine": 1}})

    class Sampling:
        class_obj = guider

        def __call__(self) -> dict[str, Any]:
            def calc_cond_batch(*args: Any) -> dict[str, Any]:
                return args[-1]["transformer_options"]

            return note_conditionings(calc_cond_batch, None, conds, LATENT, None, guider.model_options)

    noted = note_guider(Sampling())
    assert noted["mine"] == 1
    return {**noted, "cond_or_uncond": order, "uuids": uuids}


P, P2, N, E, M = cond("p"), cond("p2"), cond("n"), cond("e", prompt_type="negative"), cond("m", prompt_type="negative")


@pytest.mark.parametrize(
    ("name", "guider_conds", "conds", "order", "wanted"),
    [
        ("cfg", {"positive": [P], "negative": [N]}, [[P], [N]], [1, 0], (NEGATIVE, POSITIVE)),
        ("cfg 1", {"positive": [P], "negative": [N]}, [[P], None], [0], (POSITIVE,)),
        (
            "several positives",
            {"positive": [P, P2], "negative": [N]},
            [[P, P2], [N]],
            [1, 0, 0],
            (NEGATIVE, POSITIVE, POSITIVE),
        ),
        (
            "DualCFG",
            {"positive": [P], "middle": [M], "negative": [N]},
            [[N], [M], [P]],
            [2, 1, 0],
            (POSITIVE, NEGATIVE, NEGATIVE),
        ),
        (
            "PerpNeg",
            {"positive": [P], "empty_negative_prompt": [E], "negative": [N]},
            [[P], [N], [E]],
            [2, 1, 0],
            (NEGATIVE, NEGATIVE, POSITIVE),
        ),
        (
            "the old PerpNeg's own call, with a conditioning the guider does not know",
            {"positive": [P], "negative": [N]},
            [[cond("unknown")]],
            [0],
            (NEGATIVE,),
        ),
        (
            "self-attention guidance runs the negative alone",
            {"positive": [P], "negative": [N]},
            [[N]],
            [0],
            (NEGATIVE,),
        ),
        (
            "a copy of a positive, appended to the negatives for its area",
            {"positive": [P, P2], "negative": [N]},
            [[P, P2], [N, P2]],
            [1, 0],
            (NEGATIVE, POSITIVE),
        ),
    ],
)
def test_sides(
    name: str,
    guider_conds: dict[str, list[dict[str, Any]] | None],
    conds: list[Any],
    order: list[int],
    wanted: tuple[int, ...],
) -> None:
    assert chunk_sides(options_of_a_call(guider_conds, conds, order, [])) == wanted


def test_without_a_guider_the_position_decides() -> None:
    assert chunk_sides({"cond_or_uncond": [1, 0, 0]}) == (NEGATIVE, POSITIVE, POSITIVE)
    noted = note_conditionings(lambda *args: args[-1], None, [[P], [N]], LATENT, None, {})
    assert chunk_sides({**noted["transformer_options"], "cond_or_uncond": [1, 0]}) == (NEGATIVE, POSITIVE)
    assert chunk_crops({"cond_or_uncond": [1, 0]}) == (None, None)


def test_an_area_is_known_by_its_conditioning() -> None:
    area = cond("a", area=[8, 16, 4, 12])
    options = options_of_a_call({"positive": [P, area], "negative": [N]}, [[P, area], [N]], [0, 0], ["a", "p"])
    assert chunk_crops(options) == (Crop(4, 12, (16, 32)), None)


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((2, 4, 16, 32), (1, False)),
        ((2, 4, 16, 16), (1, True)),
        ((8, 4, 16, 16), (4, True)),
        ((3, 4, 16, 16), (0, True)),
    ],
)
def test_tiles_are_told_by_the_size_of_a_call(shape: tuple[int, ...], wanted: tuple[int, bool]) -> None:
    """A picture of 16 × 32 with two chunks."""
    options = options_of_a_call({"positive": [P], "negative": [N]}, [[P], [N]], [1, 0], ["n", "p"])
    assert chunk_tiles(options, shape) == wanted
    assert chunk_tiles({"cond_or_uncond": [1, 0]}, shape) == (1, False)


def test_an_area_is_no_tile() -> None:
    area = cond("a", area=[8, 16, 4, 12])
    options = options_of_a_call({"positive": [area], "negative": [N]}, [[area], [N]], [0], ["a"])
    assert chunk_tiles(options, (1, 4, 8, 16)) == (1, False)
