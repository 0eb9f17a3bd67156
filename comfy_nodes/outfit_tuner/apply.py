"""An outfit on a model: the parts of the mathematics put together, on ComfyUI's own ModelPatcher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from .embeds import combine_embeds, weigh_embeds
from .features import FeaturesError
from .fit import adapter_misfit, require_adapter
from .key_values import KeyValueCache, KeyValues, compute_key_values
from .layers import CrossAttention, cross_attention_layers, transformer_blocks
from .masks import AttentionMask
from .models_here import adapters_here
from .patch import Attention, OutfitPatch, PatchedLayer, Window
from .projection import project
from .schedules import LayerWeight, layer_schedule
from .sides import note_conditionings, note_guider
from .unet_size import UnetSize

if TYPE_CHECKING:
    from .adapters import Adapter
    from .sockets import OutfitModels, ReferenceFeatures
    from .tuning import Tuning, TuningValues

__all__ = ["apply_outfit", "forget_key_values"]

_KEY = "vestige_outfit"  # of our wrappers and models among those of other packs
_CACHE_BYTES = 256 * 2**20  # an SDXL plus reference takes 11 MB in half precision


@dataclass(frozen=True, eq=False)
class _Shared:
    """Keys and values, and the patcher by which ComfyUI's model management knows them."""

    key_values: KeyValues
    patcher: Any


_key_values = KeyValueCache(_CACHE_BYTES, lambda shared: shared.key_values.bytes())


def apply_outfit(
    model: Any, models: OutfitModels, features: ReferenceFeatures, tuning: Tuning, mask: torch.Tensor | None = None
) -> Any:
    """A clone of `model` (ComfyUI's ModelPatcher) that sees the reference; `model` itself is left as it is.

    `mask`: `[1 or pictures, height, width]`, 1 where the reference is seen; None for everywhere. Keys and values are
    taken from the cache where the adapter, the references and the model's layers are the same, so that other numbers
    cost next to nothing.

    Raises:
        LayersError: the model has no cross-attention layers of Stable Diffusion's.
        MisfitError: the adapter was not made for this kind of checkpoint; names the files here that were.
        FeaturesError: the features are of another encoder than the adapter's.
        ScheduleError: a weight type or layer string that this model has no layers for.
        MaskError: no mask.
    """
    values = tuning.values
    layers = cross_attention_layers(model.get_model_object("diffusion_model"))
    _check_fit(layers, models.adapter)
    patched = _patched_layers(layers, values)
    clone = model.clone()
    if not patched:
        return clone
    shared = _shared_key_values(model, models.adapter, features, values, layers)
    sampling = model.get_model_object("model_sampling")
    patch = OutfitPatch(
        patched,
        shared.key_values,
        shared.patcher,
        Window(float(sampling.percent_to_sigma(values.start_at)), float(sampling.percent_to_sigma(values.end_at))),
        values.embeds_scaling,
        values.behaviour,
        None if mask is None else AttentionMask(mask, values.behaviour),
        _comfy_attention(),
    )
    _install(clone, patch)
    return clone


def forget_key_values() -> None:
    """Empties the cache of keys and values; models that use some keep them."""
    _key_values.clear()


def _check_fit(layers: tuple[CrossAttention, ...], adapter: Adapter) -> None:
    """The loader has compared files; this compares with the model that came by the link."""
    unet = UnetSize(layers[0].context_dim, tuple(layer.width for layer in layers))
    if adapter_misfit(adapter.layout, unet) is not None:
        require_adapter(adapter.name, adapter.layout, unet, adapters_here())


def _patched_layers(layers: tuple[CrossAttention, ...], values: TuningValues) -> tuple[PatchedLayer, ...]:
    """The layers that see the reference at all. IPAdapter_plus never reaches the middle block."""
    as_plus = values.behaviour == "ipadapter_plus"
    schedule: tuple[LayerWeight | None, ...] = layer_schedule(
        values.weight_type,
        values.weight,
        values.layer_weights,
        transformer_blocks(layers),
        composition_weight=1.0 if as_plus else values.weight,
    )
    return tuple(
        PatchedLayer(layer, index, share)
        for index, layer in enumerate(layers)
        if (share := schedule[layer.transformer]) is not None and not (as_plus and layer.key[0] == "middle")
    )


def _shared_key_values(
    model: Any, adapter: Adapter, features: ReferenceFeatures, values: TuningValues, layers: tuple[CrossAttention, ...]
) -> _Shared:
    dtype = model.get_model_object("manual_cast_dtype") or model.model_dtype()
    combine = "concat" if len(features.weights) == 1 else values.combine
    heads = tuple(layer.heads for layer in layers)
    key = (adapter.sha256, features.key, features.weights, combine, values.behaviour, heads, dtype)
    devices = (model.load_device, model.offload_device)

    def make() -> _Shared:
        import comfy.model_patcher

        # normal tensors, usable by nodes that sample or compile outside ComfyUI's inference mode
        with torch.inference_mode(False), torch.no_grad():
            negative, positive = _image_tokens(adapter, features, values, model.load_device)
            made = compute_key_values(
                negative, positive, adapter.key_values, heads, dtype=dtype, store=model.offload_device
            )
        patcher = comfy.model_patcher.ModelPatcher(
            made, load_device=model.load_device, offload_device=model.offload_device
        )
        return _Shared(made, patcher)

    return _key_values.get_or_make((*key, devices), make)


def _image_tokens(
    adapter: Adapter, features: ReferenceFeatures, values: TuningValues, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Image tokens of the negative and the positive side, in float32 whatever the files hold.

    Tencent's and diffusers' code shows the negative side pixel values of zero; IPAdapter_plus a black picture. A plain
    adapter's is a pooled embedding of zeros in all of them.
    """
    layout = adapter.layout
    seen = features.pooled if layout.kind == "plain" else features.hidden
    if seen.shape[-1] != layout.embed_dim:
        raise FeaturesError(
            f"The adapter reads {layout.embed_dim} channels of the image encoder and the features have"
            f" {seen.shape[-1]}: encode the reference with the encoder loaded beside the adapter."
        )
    seen = combine_embeds(weigh_embeds(seen.to(device, torch.float32), features.weights), values.combine)
    if layout.kind == "plain":
        blank = torch.zeros_like(seen[:1])
    elif values.behaviour == "reference":
        blank = features.blank_hidden_pixels.to(seen)
    else:
        blank = features.blank_hidden_image.to(seen)
    negative, positive = (
        project(layout.kind, adapter.image_proj, embeds, layout.cross_dim) for embeds in (blank[:1], seen)
    )
    if not bool(torch.isfinite(positive).all() & torch.isfinite(negative).all()):
        raise FeaturesError(
            "The image encoder gave values that are not finite: run it in full precision (--fp32-text-enc)."
        )
    return negative, positive


def _comfy_attention() -> Attention:
    """The attention a layer has when nothing replaces it: ComfyUI's, with whatever override the call carries."""
    from comfy.ldm.modules.attention import optimized_attention

    def text_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, options: dict[str, Any]) -> torch.Tensor:
        precision = options.get("attn_precision")
        return optimized_attention(q, k, v, options["n_heads"], attn_precision=precision, transformer_options=options)

    return text_attention


def _install(clone: Any, patch: OutfitPatch) -> None:
    from comfy.patcher_extension import WrappersMP

    clone.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, _KEY, patch)
    owners = clone.get_additional_models_with_key(_KEY)
    clone.set_additional_models(_KEY, [*owners, patch.owner])
    if patch.behaviour != "reference":
        return
    for kind, wrapper in ((WrappersMP.OUTER_SAMPLE, note_guider), (WrappersMP.CALC_COND_BATCH, note_conditionings)):
        if not clone.get_wrappers(kind, _KEY):
            clone.add_wrapper_with_key(kind, _KEY, wrapper)
