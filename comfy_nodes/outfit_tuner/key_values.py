"""Keys and values of the image tokens: computed once per adapter, reference and layer, and shared by all clones."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from threading import Lock
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["KeyValueCache", "KeyValues", "compute_key_values"]


class _Layer(nn.Module):
    """One layer's keys and values, each `[2, heads, tokens, head_dim]`: the negative side, the positive side."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self.keys = nn.Parameter(keys, requires_grad=False)
        self.values = nn.Parameter(values, requires_grad=False)


class KeyValues(nn.Module):
    """The keys and values of one set of references for every layer, in the file's order.

    A module, so that ComfyUI's model management sees, moves and unloads it like any model. `references` is how many
    references the tokens are of.
    """

    def __init__(self, layers: Sequence[tuple[torch.Tensor, torch.Tensor]], references: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_Layer(keys, values) for keys, values in layers)
        self.references = references

    def layer(self, index: int, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of a layer, on the device and in the dtype of `like`.

        They are there already unless memory was too short to load them.
        """
        found: Any = self.layers[index]
        keys, values = found.keys, found.values
        if keys.device != like.device or keys.dtype != like.dtype:
            keys, values = keys.to(like), values.to(like)
        return keys, values

    def bytes(self) -> int:
        return sum(parameter.nbytes for parameter in self.parameters())


def compute_key_values(
    negative: torch.Tensor,
    positive: torch.Tensor,
    matrices: Sequence[tuple[torch.Tensor, torch.Tensor]],
    heads: Sequence[int],
    *,
    dtype: torch.dtype,
    store: torch.device,
) -> KeyValues:
    """Every layer's keys and values of the image tokens.

    `negative`: `[1 or references, tokens, cross_dim]`; `positive`: `[references, tokens, cross_dim]`. Several
    references lie one after another in the tokens. `matrices`: each layer's key and value matrix, `[width, cross_dim]`.
    Computed in the tokens' dtype on their device, where each matrix is for as long as it is needed; kept in `dtype` on
    `store`.
    """
    references = positive.shape[0]
    sides = torch.stack((negative.expand_as(positive), positive)).flatten(1, 2)

    def split(matrix: torch.Tensor, count: int) -> torch.Tensor:
        rows = F.linear(sides, matrix.to(sides))
        return rows.unflatten(-1, (count, -1)).transpose(1, 2).to(store, dtype).contiguous()

    pairs = ((split(keys, n), split(values, n)) for (keys, values), n in zip(matrices, heads, strict=True))
    return KeyValues(list(pairs), references)


class KeyValueCache:
    """The most recently used, up to a number of bytes. What is dropped here lives on where it is used."""

    def __init__(self, max_bytes: int, size: Callable[[Any], int]) -> None:
        self._max_bytes = max_bytes
        self._size = size
        self._entries: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = Lock()

    def get_or_make(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The entry of that key, made by `make` where there is none."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key]
            made = make()
            self._entries[key] = made
            while len(self._entries) > 1 and sum(map(self._size, self._entries.values())) > self._max_bytes:
                self._entries.popitem(last=False)
            return made

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)
