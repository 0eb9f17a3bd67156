"""The patch on a sampling's model calls: one wrapper that adds the reference to each cross-attention layer.

It is a `DIFFUSION_MODEL` wrapper, called once per model call. Outside start and end it hands the call on untouched.
Inside, it puts itself around whatever attention each layer has at that moment, ComfyUI's own or another pack's patch,
no matter which was applied first. So nothing is replaced for good, nothing is dropped and nothing can pile up; the
patch itself never changes and all clones of a model share it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from .attention import NEGATIVE, NOTHING, POSITIVE, attend, rows_for, scale_key_values
from .masks import AttentionMask, Crop, MaskError
from .sides import chunk_crops, chunk_sides, chunk_tiles

if TYPE_CHECKING:
    from .key_values import KeyValues
    from .layers import CrossAttention
    from .schedules import LayerWeight
    from .tuning import Behaviour, Scaling

__all__ = ["Attention", "OutfitPatch", "PatchError", "PatchedLayer", "Window"]

Options = dict[str, Any]
Attention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, Options], torch.Tensor]

_OPTIONS = 5  # position of transformer_options among the arguments of UNetModel.forward
_ALWAYS = 999_999_999.0  # ComfyUI's percent_to_sigma(0) is greater
_BATCH_CHANGED = "Another node changed the batch of the model call: remove it, or Apply Outfit."
_OPPOSED = {NEGATIVE: POSITIVE, POSITIVE: NOTHING}


class PatchError(RuntimeError):
    """A model call that the patch cannot serve; the message says why and what would do."""


@dataclass(frozen=True)
class Window:
    """The noise levels at which the reference is seen: sigmas, from `start` down to `end`, both included."""

    start: float
    end: float

    def holds(self, options: Options) -> bool:
        """Reads the call's sigma from its device, once, unless every sigma is inside."""
        if self.start >= _ALWAYS and self.end <= 0.0:
            return True
        sigmas = options.get("sigmas")
        sigma = float("inf") if sigmas is None else float(sigmas[0])
        return self.end <= sigma and (self.start >= _ALWAYS or sigma <= self.start)


@dataclass(frozen=True)
class PatchedLayer:
    """A layer that sees the reference: `index` counts in the file's order."""

    attention: CrossAttention
    index: int
    share: LayerWeight


@dataclass(frozen=True)
class _Call:
    """What is the same for all layers of a model call. `batch`: chunks × pictures."""

    sides: tuple[int, ...]
    opposed: tuple[int, ...]
    crops: tuple[Crop | None, ...]
    batch: int


@dataclass(frozen=True, eq=False)
class OutfitPatch:
    """One reference on one model. `owner` is ComfyUI's patcher of `key_values`, which lives as long as its module."""

    layers: tuple[PatchedLayer, ...]
    key_values: KeyValues
    owner: Any
    window: Window
    scaling: Scaling
    behaviour: Behaviour
    mask: AttentionMask | None
    text_attention: Attention

    def __call__(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        """ComfyUI's `DIFFUSION_MODEL` wrapper around `UNetModel._forward`.

        Raises:
            PatchError: another node changed the batch in a way that cannot be followed.
        """
        options = args[_OPTIONS] if len(args) > _OPTIONS else kwargs.get("transformer_options", {})
        if not self.window.holds(options):
            return executor(*args, **kwargs)
        patched = {**options, "patches_replace": self._around(options, self._call(args[0], options))}
        if len(args) > _OPTIONS:
            return executor(*args[:_OPTIONS], patched, *args[_OPTIONS + 1 :], **kwargs)
        return executor(*args, **{**kwargs, "transformer_options": patched})

    def __deepcopy__(self, memo: dict[int, Any]) -> OutfitPatch:
        return self  # immutable: ComfyUI deep-copies a model's options with every clone

    def _call(self, latent: torch.Tensor, options: Options) -> _Call:
        if not options.get("cond_or_uncond"):
            raise PatchError("A sampler node does not say which conditionings it runs: use a KSampler or a guider.")
        positions = options["cond_or_uncond"]
        if latent.shape[0] % len(positions):
            raise PatchError(_BATCH_CHANGED)
        windows = (options.get("context_window"), (options.get("ad_params") or {}).get("sub_idxs"))
        if self.mask is not None and self.mask.mask.shape[0] > 1 and any(part is not None for part in windows):
            raise MaskError("Context windows work with one mask for all frames only: give Apply Outfit a single mask.")
        if self.behaviour == "reference":
            tiles, tiled = chunk_tiles(options, latent.shape)
            if not tiles:
                raise PatchError(_BATCH_CHANGED)
            if tiled and self.mask is not None:
                raise MaskError("Tiled sampling does not say which part a tile shows: remove the mask, or the tiling.")
            sides, crops = chunk_sides(options) * tiles, chunk_crops(options) * tiles
        else:
            sides, crops = tuple(NEGATIVE if position == 1 else POSITIVE for position in positions), ()
        return _Call(sides, tuple(_OPPOSED[side] for side in sides), crops, latent.shape[0])

    def _around(self, options: Options, call: _Call) -> Options:
        """The call's `patches_replace` with this patch around every layer's attention."""
        replaced = options.get("patches_replace", {})
        attentions: dict[Any, Attention] = dict(replaced.get("attn2", {}))
        for layer in self.layers:
            key = layer.attention.key
            inner = attentions.get(key) or attentions.get(key[:2]) or self.text_attention
            attentions[key] = _Added(self, layer, call, inner)
        return {**replaced, "attn2": attentions}


@dataclass(frozen=True, eq=False)
class _Added:
    """A layer's attention in one model call: `inner`, and what is seen of the reference."""

    patch: OutfitPatch
    layer: PatchedLayer
    call: _Call
    inner: Attention

    def __call__(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, extra_options: Options) -> torch.Tensor:
        text = self.inner(q, k, v, extra_options)
        if q.shape[0] != self.call.batch:
            raise PatchError("Another node changes the batch inside cross-attention: remove it, or Apply Outfit.")
        share, patch = self.layer.share, self.patch
        sides = self.call.opposed if share.opposed else self.call.sides
        keys, values = (rows_for(stored, sides) for stored in patch.key_values.layer(self.layer.index, q))
        keys, values, weight = scale_key_values(keys, values, share.weight, patch.scaling, patch.key_values.references)
        seen = attend(q, keys, values)
        if patch.mask is None:
            both = torch.add(text, seen, alpha=weight)
        else:
            mask = patch.mask.rows(
                q,
                latent=_size(extra_options["original_shape"]),
                grid=_size(extra_options["activations_shape"]),
                chunks=len(sides),
                crops=self.call.crops,
            )
            both = torch.addcmul(text, seen, mask, value=weight)
        return both if both.dtype == q.dtype else both.to(q.dtype)


def _size(shape: list[int]) -> tuple[int, int]:
    return shape[-2], shape[-1]
