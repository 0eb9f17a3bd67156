"""A host's `/object_info` for the node classes that the server sends, in both of the ways ComfyUI writes choices.

`tests/comfyui/test_graphs.py` checks the same graphs against the real thing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

MODEL = ["MODEL", {"tooltip": "…"}]
CHECKPOINTS = ("pony/halina-base.safetensors", "sdxl.safetensors")
LORAS = ("mira_v3.safetensors", "people/otis/v2.safetensors")
CHARACTERS = ("mira", "otis")
ADAPTERS = ("ip-adapter-plus_sdxl_vit-h.safetensors", "other.safetensors")
ENCODERS = ("CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors",)
SAMPLERS = ("euler", "dpmpp_2m")
SCHEDULERS = ("normal", "karras")
WEIGHT_TYPES = ("linear", "ease in")
SCALINGS = ("V only", "K+V", "K+V w/ C penalty", "K+mean(V) w/ C penalty")
FREEU = ("b1", "b2", "s1", "s2")

Inputs = dict[str, Any]


def combo(options: Sequence[str], *, new: bool) -> list[Any]:
    return ["COMBO", {"multiselect": False, "options": list(options)}] if new else [list(options), {"tooltip": "…"}]


def number(low: float, high: float, kind: str = "FLOAT") -> list[Any]:
    return [kind, {"default": low, "min": low, "max": high, "step": 1}]


def described(
    *,
    new: bool = False,
    ours: bool = True,
    plus: bool = True,
    checkpoints: Sequence[str] = CHECKPOINTS,
    loras: Sequence[str] = LORAS,
    characters: Sequence[str] = CHARACTERS,
    adapters: Sequence[str] = ADAPTERS,
    encoders: Sequence[str] = ENCODERS,
) -> dict[str, Any]:
    """`new`: choices as `["COMBO", {"options": …}]` everywhere, as v0.8.0 has them in its newer nodes."""

    def pick(options: Sequence[str]) -> list[Any]:
        return combo(options, new=new)

    required: dict[str, Inputs] = {
        "CheckpointLoaderSimple": {"ckpt_name": pick(checkpoints)},
        "CLIPTextEncode": {"text": ["STRING", {"multiline": True}], "clip": MODEL},
        "CLIPVisionLoader": {"clip_name": pick(encoders)},
        "EmptyLatentImage": {
            "width": number(16, 16384, "INT"),
            "height": number(16, 16384, "INT"),
            "batch_size": number(1, 4096, "INT"),
        },
        "FreeU_V2": {"model": MODEL} | {name: number(0, 10) for name in FREEU},
        "KSampler": {
            "model": MODEL,
            "seed": number(0, 2**64 - 1, "INT"),
            "steps": number(1, 10000, "INT"),
            "cfg": number(0, 100),
            "sampler_name": pick(SAMPLERS),
            "scheduler": pick(SCHEDULERS),
            "positive": MODEL,
            "negative": MODEL,
            "latent_image": MODEL,
            "denoise": number(0, 1),
        },
        "LoadImage": {"image": [["example.png"], {"image_upload": True}]},
        "LoraLoader": {
            "model": MODEL,
            "clip": MODEL,
            "lora_name": pick(loras),
            "strength_model": number(-100, 100),
            "strength_clip": number(-100, 100),
        },
        "SaveImage": {"images": MODEL, "filename_prefix": ["STRING", {"default": "ComfyUI"}]},
        "VAEDecode": {"samples": MODEL, "vae": MODEL},
    }
    optional: dict[str, Inputs] = {}
    if plus:
        required |= _plus(pick(adapters), pick(WEIGHT_TYPES), pick(SCALINGS), pick(["top", "pad"]))
        optional["IPAdapterAdvanced"] = {"clip_vision": MODEL}
    if ours:
        required |= _ours(
            pick(["none", *characters]), pick(["auto", *adapters]), pick(["auto", *encoders]), pick(WEIGHT_TYPES),
            pick(SCALINGS), pick(["ipadapter_plus", "reference"]),
        )  # fmt: skip
        optional |= {
            "Vestige_LoadCharacterLora": {"clip": MODEL},
            "Vestige_LoadOutfitModels": {"model": MODEL},
            "Vestige_LoadReference": {"sha256": ["STRING", {}], "fit": pick(["pad", "crop"])},
            "Vestige_OutfitChain": {"mask": MODEL},
        }
    return {
        name: {"input": {"required": inputs, "optional": optional.get(name, {})}, "output": ["MODEL"], "name": name}
        for name, inputs in required.items()
    }


def _plus(adapters: Any, weight_types: Any, scalings: Any, positions: Any) -> Mapping[str, Inputs]:
    return {
        "IPAdapterModelLoader": {"ipadapter_file": adapters},
        "PrepImageForClipVision": {
            "image": MODEL,
            "interpolation": [["LANCZOS", "BICUBIC"]],
            "crop_position": positions,
            "sharpening": number(0, 1),
        },
        "IPAdapterAdvanced": {
            "model": MODEL,
            "ipadapter": MODEL,
            "image": MODEL,
            "weight": number(-1, 5),
            "weight_type": weight_types,
            "combine_embeds": [["concat", "add"]],
            "start_at": number(0, 1),
            "end_at": number(0, 1),
            "embeds_scaling": scalings,
        },
    }


def _ours(
    characters: Any, adapters: Any, encoders: Any, weight_types: Any, scalings: Any, behaviours: Any
) -> Mapping[str, Inputs]:
    person = {"character": characters, "version": ["STRING", {}], "other_lineage": ["BOOLEAN", {"default": False}]}
    numbers = ("weight", "start_at", "end_at", "lora_model", "lora_clip")
    return {
        "Vestige_EncodeReference": {"models": MODEL, "reference": MODEL, "weight": number(0, 10)},
        "Vestige_LoadCharacterLora": person
        | {"model": MODEL, "strength_model": number(-10, 10), "strength_clip": number(-10, 10)},
        "Vestige_LoadOutfitModels": {"adapter": adapters, "encoder": encoders},
        "Vestige_LoadReference": {"picture": [["example.png"], {"image_upload": True}]},
        "Vestige_OutfitChain": person
        | {"model": MODEL, "clip": MODEL, "models": MODEL, "features": MODEL, "tuning": MODEL},
        "Vestige_TuningValues": {name: number(-1, 3) for name in numbers}
        | {f"freeu_{name}": number(0, 10) for name in FREEU}
        | {
            "weight_type": weight_types,
            "embeds_scaling": scalings,
            "combine": [["concat", "add"]],
            "behaviour": behaviours,
            "layer_weights": ["STRING", {"default": ""}],
            "freeu": ["BOOLEAN", {"default": False}],
        },
    }
