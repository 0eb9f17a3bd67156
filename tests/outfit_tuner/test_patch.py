"""The wrapper around a model call, on a UNet of two layers whose attention is the paper's."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from comfy_nodes.outfit_tuner.attention import NEGATIVE, POSITIVE
from comfy_nodes.outfit_tuner.key_values import compute_key_values
from comfy_nodes.outfit_tuner.layers import CrossAttention
from comfy_nodes.outfit_tuner.masks import AttentionMask, MaskError
from comfy_nodes.outfit_tuner.patch import OutfitPatch, PatchedLayer, PatchError, Window
from comfy_nodes.outfit_tuner.schedules import LayerWeight
from comfy_nodes.outfit_tuner.sides import Conditionings
from comfy_nodes.outfit_tuner.tuning import Behaviour
from tests.outfit_tuner import paper

HEADS, WIDTH, CROSS, GRID = 2, 12, 10, (4, 6)
QUERIES = GRID[0] * GRID[1]
KEYS = [("input", 4, 0), ("output", 1, 1)]
ALWAYS = Window(999_999_999.9, 0.0)
Options = dict[str, Any]


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


NEGATIVE_TOKENS, POSITIVE_TOKENS = numbers(1, 4, CROSS), numbers(1, 4, CROSS, seed=1)
MATRICES = [
    (numbers(WIDTH, CROSS, seed=2), numbers(WIDTH, CROSS, seed=3)),
    (numbers(WIDTH, CROSS, seed=4), numbers(WIDTH, CROSS, seed=5)),
]


def text_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, options: Options) -> torch.Tensor:
    parts = zip(*(part.double().numpy() for part in (q, k, v)), strict=True)
    rows = [paper.attention(asking, keys, values, HEADS) for asking, keys, values in parts]
    return torch.from_numpy(np.stack(rows)).to(q)


def outfit(
    *,
    shares: tuple[LayerWeight | None, ...] = (LayerWeight(0.7), LayerWeight(-0.4)),
    window: Window = ALWAYS,
    behaviour: Behaviour = "reference",
    mask: torch.Tensor | None = None,
    dtype: torch.dtype = torch.float64,
) -> OutfitPatch:
    made = compute_key_values(
        NEGATIVE_TOKENS, POSITIVE_TOKENS, MATRICES, [HEADS, HEADS], dtype=dtype, store=torch.device("cpu")
    )
    layers = tuple(
        PatchedLayer(CrossAttention(key, transformer, HEADS, WIDTH, CROSS), transformer, share)  # pyright: ignore[reportArgumentType] # a block's name
        for transformer, (key, share) in enumerate(zip(KEYS, shares, strict=True))
        if share is not None
    )
    fitted = None if mask is None else AttentionMask(mask, behaviour)
    return OutfitPatch(layers, made, None, window, "V only", behaviour, fitted, text_attention)


def unet(
    latent: torch.Tensor, timesteps: Any, context: Any, y: Any, control: Any, transformer_options: Options
) -> list[torch.Tensor]:
    """What each layer gives. A layer asks for a patch as ComfyUI does: by its own name, or by its block's."""
    replaced = transformer_options.get("patches_replace", {}).get("attn2", {})
    extra = {key: value for key, value in transformer_options.items() if key != "patches_replace"}
    extra |= {"original_shape": list(latent.shape), "activations_shape": [len(latent), WIDTH, *GRID]}
    given: list[torch.Tensor] = []
    for number, key in enumerate(KEYS):
        q, k, v = asked(number, len(latent), latent.dtype)
        attention = replaced.get(key) or replaced.get(key[:2]) or text_attention
        given.append(attention(q, k, v, extra))
    return given


def asked(
    layer: int, batch: int, dtype: torch.dtype = torch.float64
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    shapes = ((QUERIES, 10), (5, 20), (5, 30))
    q, k, v = (numbers(batch, tokens, WIDTH, seed=seed + layer).to(dtype) for tokens, seed in shapes)
    return q, k, v


def call(
    *patches: Callable[..., Any], order: tuple[int, ...] = (1, 0), pictures: int = 1, **options: Any
) -> list[torch.Tensor]:
    """A model call through wrappers, the first outermost."""
    latent = torch.zeros(len(order) * pictures, 4, 2 * GRID[0], 2 * GRID[1], dtype=options.pop("dtype", torch.float64))

    def executor(remaining: tuple[Callable[..., Any], ...]) -> Callable[..., Any]:
        if not remaining:
            return unet
        return lambda *args, **kwargs: remaining[0](executor(remaining[1:]), *args, **kwargs)

    given = {"cond_or_uncond": list(order), "sigmas": torch.tensor([1.0]), **options}
    before = copy.copy(given)
    result = executor(patches)(latent, None, None, None, None, given)
    assert given == before
    return result


def wanted(
    shares: tuple[float, ...], sides: tuple[int | None, ...], pictures: int = 1, mask: torch.Tensor | None = None
) -> list[torch.Tensor]:
    """By the paper: the text's attention, and that of the side's image tokens times the share."""
    layers: list[torch.Tensor] = []
    for number, share in enumerate(shares):
        q, k, v = (part.numpy() for part in asked(number, len(sides) * pictures))
        to_k, to_v = (matrix.numpy() for matrix in MATRICES[number])
        rows: list[torch.Tensor] = []
        for row in range(len(q)):
            side = sides[row // pictures]
            text = paper.attention(q[row], k[row], v[row], HEADS)
            if side is None:
                rows.append(torch.from_numpy(text))
                continue
            tokens = (POSITIVE_TOKENS if side == POSITIVE else NEGATIVE_TOKENS)[0].numpy()
            whole = paper.decoupled(q[row], k[row], v[row], [tokens], to_k, to_v, HEADS, share, "V only")
            seen = torch.from_numpy(whole - text)
            rows.append(torch.from_numpy(text) + (seen if mask is None else seen * mask))
        layers.append(torch.stack(rows))
    return layers


def equal(found: list[torch.Tensor], expected: list[torch.Tensor], tolerance: float = 1e-12) -> bool:
    return all((a.double() - b).abs().max() < tolerance for a, b in zip(found, expected, strict=True))


PLAIN = call()


@pytest.mark.parametrize("pictures", [1, 3])
@pytest.mark.parametrize(
    ("order", "sides"),
    [
        ((1, 0), (NEGATIVE, POSITIVE)),
        ((0,), (POSITIVE,)),
        ((1,), (NEGATIVE,)),
        ((1, 0, 0), (NEGATIVE, POSITIVE, POSITIVE)),
    ],
)
@pytest.mark.parametrize("behaviour", ["ipadapter_plus", "reference"])
def test_each_chunk_sees_its_side(
    behaviour: Behaviour, order: tuple[int, ...], sides: tuple[int, ...], pictures: int
) -> None:
    found = call(outfit(behaviour=behaviour), order=order, pictures=pictures)
    assert equal(found, wanted((0.7, -0.4), sides, pictures))


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.06), (torch.float16, 0.008)]
)
def test_it_follows_the_model_s_precision(dtype: torch.dtype, tolerance: float) -> None:
    found = call(outfit(dtype=dtype), dtype=dtype)
    assert {layer.dtype for layer in found} == {dtype}
    assert equal(found, wanted((0.7, -0.4), (NEGATIVE, POSITIVE)), tolerance)


def test_keys_and_values_in_another_precision_are_brought_to_it() -> None:
    assert equal(call(outfit(dtype=torch.float32)), wanted((0.7, -0.4), (NEGATIVE, POSITIVE)), 1e-5)


def test_ipadapter_plus_takes_all_but_position_one_as_positive() -> None:
    found = call(outfit(behaviour="ipadapter_plus"), order=(2, 1, 0))
    assert equal(found, wanted((0.7, -0.4), (POSITIVE, NEGATIVE, POSITIVE)))


def test_an_opposed_layer_shows_the_reference_to_the_negative_side_only() -> None:
    found = call(outfit(shares=(LayerWeight(0.7, opposed=True), LayerWeight(-0.4))))
    assert equal(found[:1], wanted((0.7,), (POSITIVE, None)))
    assert equal(found[1:], wanted((0.7, -0.4), (NEGATIVE, POSITIVE))[1:])


def test_a_layer_without_a_share_is_not_touched() -> None:
    found = call(outfit(shares=(None, LayerWeight(1.0))))
    assert torch.equal(found[0], PLAIN[0])
    assert not torch.equal(found[1], PLAIN[1])


@pytest.mark.parametrize(
    ("window", "sigma", "seen"),
    [
        (ALWAYS, 14.6, True),
        (Window(999_999_999.9, 2.0), 14.6, True),
        (Window(999_999_999.9, 2.0), 2.0, True),
        (Window(999_999_999.9, 2.0), 1.9, False),
        (Window(5.0, 2.0), 5.0, True),
        (Window(5.0, 2.0), 5.1, False),
        (Window(5.0, 0.0), 0.0, True),
        (Window(999_999_999.9, 2.0), None, True),
        (Window(5.0, 0.0), None, False),
    ],
)
def test_it_is_there_from_start_to_end_and_not_at_all_outside(window: Window, sigma: float | None, seen: bool) -> None:
    sigmas = None if sigma is None else torch.tensor([sigma])
    options: Options = {"sigmas": sigmas} if sigmas is not None else {"sigmas": None}
    assert equal(call(outfit(window=window), **options), PLAIN) != seen


def test_outside_the_call_is_handed_on_untouched() -> None:
    given: Options = {"sigmas": torch.tensor([0.1]), "cond_or_uncond": [1, 0]}
    passed: list[Any] = []
    outfit(window=Window(5.0, 2.0))(lambda *args: passed.extend(args), "x", "t", "c", "y", "control", given)
    assert passed == ["x", "t", "c", "y", "control", given]
    assert passed[5] is given


def test_options_may_come_by_name() -> None:
    found: list[Options] = []
    outfit()(
        lambda x, transformer_options: found.append(transformer_options),
        torch.zeros(2, 4, 8, 12),
        transformer_options={"cond_or_uncond": [1, 0]},
    )
    assert set(found[0]["patches_replace"]["attn2"]) == set(KEYS)


def test_a_patch_of_another_pack_is_kept_whether_for_a_layer_or_its_block() -> None:
    def doubled(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, options: Options) -> torch.Tensor:
        return 2 * text_attention(q, k, v, options)

    theirs = {KEYS[0]: doubled, KEYS[1][:2]: doubled, ("output", 9): doubled}
    replace = {"attn2": theirs, "attn1": {"kept": doubled}}
    found = call(outfit(), patches_replace=replace)
    assert equal(
        found, [seen + plain for seen, plain in zip(wanted((0.7, -0.4), (NEGATIVE, POSITIVE)), PLAIN, strict=True)]
    )
    assert set(theirs) == {KEYS[0], KEYS[1][:2], ("output", 9)}


def test_two_outfits_add_up_in_any_order() -> None:
    one, other = outfit(), outfit(shares=(LayerWeight(0.1), LayerWeight(0.9)))
    both = [a + b - plain for a, b, plain in zip(call(one), call(other), PLAIN, strict=True)]
    assert equal(call(one, other), both)
    assert equal(call(other, one), both)


@pytest.mark.parametrize("behaviour", ["ipadapter_plus", "reference"])
def test_a_mask_says_where(behaviour: Behaviour) -> None:
    mask = torch.zeros(1, *GRID)
    mask[0, 1:3, 2:] = 1
    found = call(outfit(behaviour=behaviour, mask=mask), pictures=2)
    assert equal(found, wanted((0.7, -0.4), (NEGATIVE, POSITIVE), 2, mask.flatten()[:, None]), 1e-7)


def test_clones_share_it() -> None:
    patch = outfit()
    assert copy.deepcopy({"wrappers": [patch]})["wrappers"][0] is patch


@pytest.mark.parametrize(
    ("options", "order", "message"),
    [
        ({"cond_or_uncond": None}, (1, 0), "does not say which conditionings it runs"),
        ({"cond_or_uncond": [0, 1, 0, 1]}, (1, 0), "changed the batch of the model call"),
        ({"patches_replace": {}, "cond_or_uncond": [1, 0, 0]}, (1, 0), "changed the batch of the model call"),
    ],
)
def test_a_call_that_cannot_be_followed_is_refused(options: Options, order: tuple[int, ...], message: str) -> None:
    with pytest.raises(PatchError, match=message):
        call(outfit(), order=order, **options)


def test_a_batch_changed_inside_attention_is_refused() -> None:
    def executor(*args: Any) -> None:
        attention = args[5]["patches_replace"]["attn2"][KEYS[0]]
        attention(*asked(0, 4), {})

    with pytest.raises(PatchError, match="changes the batch inside cross-attention"):
        outfit()(executor, torch.zeros(2, 4, 8, 12), None, None, None, None, {"cond_or_uncond": [1, 0]})


@pytest.mark.parametrize("window", [{"context_window": object()}, {"ad_params": {"sub_idxs": [0, 1]}}])
def test_context_windows_take_one_mask_only(window: Options) -> None:
    with pytest.raises(MaskError, match="one mask for all frames"):
        call(outfit(mask=torch.ones(2, *GRID)), pictures=2, **window)
    assert call(outfit(mask=torch.ones(1, *GRID)), pictures=2, **window)


def test_tiles_of_a_batch_see_their_sides_and_take_no_mask() -> None:
    """Three tiles of a picture in one call: negative and positive of the first, of the second, of the third."""
    noted: Options = {"vestige_conditionings": Conditionings((POSITIVE, NEGATIVE), {}, 1, (64, 64))}
    found = call(outfit(), pictures=3, **noted)
    assert equal(found, wanted((0.7, -0.4), (NEGATIVE, POSITIVE) * 3))
    with pytest.raises(MaskError, match="Tiled sampling does not say which part"):
        call(outfit(mask=torch.ones(1, *GRID)), pictures=3, **noted)
    with pytest.raises(PatchError, match="changed the batch of the model call"):
        call(outfit(), pictures=3, vestige_conditionings=Conditionings((POSITIVE, NEGATIVE), {}, 2, (8, 12)))
