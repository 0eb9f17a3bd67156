"""Requests as tests make them."""

from typing import Any

from hypothesis import strategies as st

from server.render.graphs.request import LoraVersion, PictureRequest
from tests.render.graphs.described import ADAPTERS, CHECKPOINTS, ENCODERS

DRESS, SHOE = "d" * 64, "5" * 64


def asked(**changed: Any) -> PictureRequest:
    """A complete request for hosts with our pack."""
    fields: dict[str, Any] = {
        "template": "outfit_preview",
        "checkpoint": CHECKPOINTS[1],
        "lora": LoraVersion("mira", 3, "a" * 64),
        "adapter": ADAPTERS[0],
        "encoder": ENCODERS[0],
        "reference": DRESS,
        "prompt": "standing in a garden",
        "negative": "blurred",
        "seed": 7,
    }
    return PictureRequest(**fields | changed)


TUNINGS = st.fixed_dictionaries(
    {},
    optional={
        "weight": st.sampled_from([0.3, 0.35, 0.4, 1.0]),
        "end_at": st.sampled_from([0.5, 0.8, 1]),
        "weight_type": st.sampled_from(["linear", "ease in"]),
        "embeds_scaling": st.sampled_from(["V only", "K+V"]),
        "lora_model": st.sampled_from([0.7, 0.8]),
        "freeu": st.booleans(),
        "freeu_b1": st.sampled_from([1.2, 1.3]),
    },
)
REQUESTS = st.builds(
    asked,
    template=st.sampled_from(["outfit_preview", "outfit_preview_ipadapter_plus", "character_portrait"]),
    checkpoint=st.sampled_from(CHECKPOINTS),
    lora=st.sampled_from([None, LoraVersion("mira", 3, "a" * 64), LoraVersion("otis", 2, "b" * 64)]),
    reference=st.sampled_from([DRESS, SHOE]),
    prompt=st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
    negative=st.sampled_from(["", "blurred"]),
    seed=st.sampled_from([0, 7, 2**64 - 1]),
    steps=st.sampled_from([4, 28]),
    cfg=st.sampled_from([1, 5, 5.5]),
    width=st.sampled_from([832, 1024]),
    tuning=TUNINGS,
)
