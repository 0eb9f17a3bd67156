"""Keys and values are kept, and forgotten, by size."""

from __future__ import annotations

import torch

from comfy_nodes.outfit_tuner.key_values import KeyValueCache, KeyValues, compute_key_values

CPU = torch.device("cpu")


def made(size: int = 8) -> KeyValues:
    return KeyValues([(torch.zeros(2, 1, 1, size), torch.zeros(2, 1, 1, size))], 1)


def test_they_lie_side_by_side_in_the_dtype_asked_for() -> None:
    negative, positive = torch.zeros(1, 4, 6), torch.ones(3, 4, 6)
    matrices = [(torch.ones(8, 6), torch.full((8, 6), 2.0)), (torch.ones(4, 6), torch.ones(4, 6))]
    found = compute_key_values(negative, positive, matrices, [2, 1], dtype=torch.bfloat16, store=CPU)
    keys, values = found.layer(0, torch.zeros(1, dtype=torch.bfloat16))
    assert keys.shape == values.shape == (2, 2, 12, 4)
    assert keys.dtype == torch.bfloat16
    assert not keys[0].any()
    assert (values[1] == 12).all()
    assert found.layer(1, torch.zeros(1))[0].dtype == torch.float32
    assert found.references == 3
    assert found.bytes() == 2 * (2 * 2 * 12 * 4 + 2 * 12 * 4) * 2


def test_model_management_can_weigh_and_move_them() -> None:
    found = made()
    assert sum(tensor.nbytes for tensor in found.state_dict().values()) == found.bytes() == 2 * 2 * 8 * 4
    assert found.to(torch.float16).bytes() == 2 * 2 * 8 * 2


def test_the_oldest_is_forgotten_first_and_the_newest_always_kept() -> None:
    cache = KeyValueCache(2 * made().bytes(), KeyValues.bytes)
    first = cache.get_or_make("first", made)
    cache.get_or_make("second", made)
    assert cache.get_or_make("first", made) is first
    cache.get_or_make("third", made)
    assert len(cache) == 2
    assert cache.get_or_make("first", made) is first
    huge = cache.get_or_make("huge", lambda: made(10_000))
    assert cache.get_or_make("huge", made) is huge
    assert len(cache) == 1
    cache.clear()
    assert len(cache) == 0
