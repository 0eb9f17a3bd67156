"""LoRA files for tests, as each trainer writes them: real names and keys, small shapes."""

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Shapes = dict[str, tuple[int, ...]]

PONY = "67ab2fd8ec439a89b3fedb15cc65f54336af163c7eb5e4f2acc98f090a29b0b3"
ILLUSTRIOUS = "3e15ba00387db678ab4a099f75771c4f5ac67fda9e7100a01d263eaf30145aa9"
TO_K = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
PEFT_TO_K = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
_BYTES = {"F16": 2, "F32": 4, "BF16": 2, "I64": 8}

KOHYA: Shapes = {
    f"{TO_K}.lora_down.weight": (4, 2048),
    f"{TO_K}.lora_up.weight": (640, 4),
    f"{TO_K}.alpha": (),
    "lora_te1_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight": (4, 768),
    "lora_te1_text_model_encoder_layers_0_self_attn_q_proj.lora_up.weight": (768, 4),
    "lora_te1_text_model_encoder_layers_0_self_attn_q_proj.alpha": (),
}
LOCON: Shapes = KOHYA | {
    "lora_unet_input_blocks_4_0_in_layers_2.lora_down.weight": (2, 320, 3, 3),
    "lora_unet_input_blocks_4_0_in_layers_2.lora_up.weight": (640, 2, 1, 1),
    "lora_unet_input_blocks_4_0_in_layers_2.alpha": (),
}
LOHA: Shapes = {f"{TO_K}.alpha": ()} | {
    f"{TO_K}.hada_w{at}_{side}": shape for at in "12" for side, shape in (("a", (640, 4)), ("b", (4, 2048)))
}
LOKR: Shapes = {f"{TO_K}.lokr_w1": (16, 16), f"{TO_K}.lokr_w2_a": (40, 8), f"{TO_K}.lokr_w2_b": (8, 128)}
PEFT: Shapes = {f"{PEFT_TO_K}.lora_A.weight": (16, 2048), f"{PEFT_TO_K}.lora_B.weight": (640, 16)}
DORA: Shapes = KOHYA | {f"{TO_K}.dora_scale": (1, 2048)}

KOHYA_SAYS = {
    "ss_base_model_version": "sdxl_base_v1-0",
    "ss_network_module": "networks.lora",
    "ss_network_dim": "32",
    "ss_network_alpha": "16.0",
    "ss_steps": "740",
    "ss_epoch": "10",
    "ss_num_train_images": "204",
    "ss_sd_model_name": "ponyDiffusionV6XL_v6StartWithThisOne.safetensors",
    "ss_new_sd_model_hash": PONY,
    "ss_training_finished_at": "1726067863.29673",
    "ss_training_comment": "None",
    "ss_tag_frequency": json.dumps({"2_halina": {"1girl": 20, "smile": 4}, "1_full": {"1girl": 3, "standing": 3}}),
    "sshs_model_hash": "ab" * 32,
    "modelspec.architecture": "stable-diffusion-xl-v1-base/lora",
    "modelspec.title": "halina",
}
LYCORIS_SAYS = KOHYA_SAYS | {
    "ss_network_module": "lycoris.kohya",
    "ss_network_args": json.dumps({"algo": "locon", "conv_dim": 2}),
}
ONETRAINER_SAYS = {
    "ot_branch": "master",
    "ot_revision": "0f3a2c1",
    "ot_config": json.dumps(
        {
            "base_model_name": "OnomaAIResearch/Illustrious-XL-v0.1",
            "lora_rank": 16,
            "lora_alpha": 8.0,
            "epochs": 40,
        }
    ),
    "modelspec.architecture": "stable-diffusion-xl-v1-base/lora",
    "modelspec.date": "2026-05-02T10:00:00",
    "modelspec.title": "halina ot",
}
AI_TOOLKIT_SAYS = {
    "format": "pt",
    "name": "halina_sdxl",
    "software": json.dumps({"name": "ai-toolkit", "repo": "https://github.com/ostris/ai-toolkit", "version": "0.5.3"}),
    "training_info": json.dumps({"step": 2000, "epoch": 12}),
    "ss_base_model_version": "sdxl_1.0",
    "ss_output_name": "halina_sdxl",
}
PEFT_SAYS = {"format": "pt", "lora_adapter_metadata": json.dumps({"unet.r": 16, "unet.lora_alpha": 24})}


def entries(shapes: Mapping[str, tuple[int, ...]], dtype: str = "F16") -> dict[str, Any]:
    """The header's entries, one tensor after the other."""
    header, at = {}, 0
    for name, shape in shapes.items():
        end = at + math.prod(shape) * _BYTES[dtype]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, end]}
        at = end
    return header


def packed(header: Mapping[str, Any] | bytes, weights: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + weights


def lora(
    shapes: Mapping[str, tuple[int, ...]] = KOHYA,
    metadata: Mapping[str, str] | None = None,
    *,
    dtype: str = "F16",
    fill: bytes = b"\x00\x48",
) -> bytes:
    """A file whose weights are `fill` again and again: as F16 the number 8."""
    header = entries(shapes, dtype)
    size = max(entry["data_offsets"][1] for entry in header.values())
    if metadata:
        header = {"__metadata__": dict(metadata), **header}
    return packed(header, (fill * (size // len(fill) + 1))[:size])


def write_sparse(path: Path, size: int, metadata: Mapping[str, str] | None = None) -> Path:
    """A LoRA of at least `size` bytes whose weights are a hole in the file."""
    layers = max(1, size // (2 * (4 * 2_048 + 640 * 4) * 64))
    shapes: Shapes = {}
    for at in range(layers):
        shapes[f"lora_unet_{at}_attn2_to_k.lora_down.weight"] = (256, 2_048)
        shapes[f"lora_unet_{at}_attn2_to_k.lora_up.weight"] = (640, 256)
    header = entries(shapes)
    end = max(entry["data_offsets"][1] for entry in header.values())
    if metadata:
        header = {"__metadata__": dict(metadata), **header}
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    return path
