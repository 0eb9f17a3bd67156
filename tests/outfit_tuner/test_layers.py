"""The cross-attention layers of a UNet."""

from __future__ import annotations

from types import SimpleNamespace as Thing
from typing import Any

import pytest

from comfy_nodes.outfit_tuner.layers import LayersError, cross_attention_layers, transformer_blocks


def transformer(depth: int, heads: int = 2, dim: int = 8, **parts: Any) -> Thing:
    attention = Thing(heads=heads, dim_head=dim, to_k=Thing(in_features=64))
    inner = Thing(attn2=attention, switch_temporal_ca_to_sa=False)
    return Thing(transformer_blocks=[inner] * depth, **parts)


def unet(middle: list[Thing] | None) -> Thing:
    plain = Thing()
    return Thing(
        input_blocks=[[plain], [plain, transformer(1)], [plain, transformer(2, heads=3)]],
        middle_block=middle,
        output_blocks=[[plain, transformer(2)], [plain], [plain, transformer(1), plain]],
    )


def test_they_come_in_the_file_s_order_and_count_in_the_running_order() -> None:
    layers = cross_attention_layers(unet([Thing(), transformer(2), Thing()]))
    assert [(layer.key, layer.transformer) for layer in layers] == [
        (("input", 1, 0), 0),
        (("input", 2, 0), 1),
        (("input", 2, 1), 1),
        (("output", 0, 0), 3),
        (("output", 0, 1), 3),
        (("output", 2, 0), 4),
        (("middle", 0, 0), 2),
        (("middle", 0, 1), 2),
    ]
    assert (layers[1].heads, layers[1].width, layers[1].context_dim) == (3, 24, 64)
    assert transformer_blocks(layers) == ("input", "input", "middle", "output", "output")


def test_a_unet_may_have_no_middle_block() -> None:
    assert transformer_blocks(cross_attention_layers(unet(None))) == ("input", "input", "output", "output")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Thing(double_blocks=[]), "This checkpoint is a SimpleNamespace: IP-Adapters of this kind need"),
        (Thing(input_blocks=[[Thing()]], output_blocks=[]), "no cross-attention"),
        (Thing(input_blocks=[[transformer(1, time_stack=[])]], output_blocks=[]), "Video models are not supported"),
    ],
)
def test_other_models_are_refused(model: Thing, message: str) -> None:
    with pytest.raises(LayersError, match=message):
        cross_attention_layers(model)
