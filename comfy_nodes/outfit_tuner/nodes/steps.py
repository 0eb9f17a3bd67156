"""The steps of the outfit chain as nodes of an expansion: LoRA → FreeU → IP-Adapter.

Every step is a node of its own with its values as constants, so that ComfyUI caches it: a changed weight leaves the
LoRA's patch alone. Ids are made of the values that decide the step. A step that several pictures share is added once.
"""

from __future__ import annotations

import hashlib
from typing import Any

from comfy_execution.graph_utils import GraphBuilder

from ..tuning import TuningValues

__all__ = ["NO_CHARACTER", "add_freeu", "add_lora", "add_outfit", "step_id"]

NO_CHARACTER = "none"
Link = Any
"""`[node id, output]`."""


def step_id(step: str, *values: object) -> str:
    """The id of a step with these values: the same for the same, within and across graphs."""
    return f"{step}-{hashlib.sha256(repr(values).encode()).hexdigest()[:12]}" if values else step


def add_lora(
    graph: GraphBuilder,
    model: Link,
    clip: Link,
    character: str,
    version: str,
    other_lineage: bool,
    values: TuningValues,
) -> tuple[Link, Link]:
    """`(model, clip)` with the character's LoRA; themselves where there is no character or no strength."""
    if character == NO_CHARACTER or (values.lora_model == 0 and values.lora_clip == 0):
        return model, clip
    lora = graph.node(
        "Vestige_LoadCharacterLora",
        step_id("lora", values.lora_model, values.lora_clip),
        model=model,
        clip=clip,
        character=character,
        version=version,
        strength_model=values.lora_model,
        strength_clip=values.lora_clip,
        other_lineage=other_lineage,
    )
    return lora.out(0), lora.out(1)


def add_freeu(graph: GraphBuilder, model: Link, values: TuningValues) -> Link:
    """The model with ComfyUI's own FreeU V2; itself where it is off."""
    factors = values.freeu
    if factors is None:
        return model
    freeu = graph.node(
        "FreeU_V2",
        step_id("freeu", values.lora_model, values.lora_clip, factors),
        model=model,
        b1=factors.b1,
        b2=factors.b2,
        s1=factors.s1,
        s2=factors.s2,
    )
    return freeu.out(0)


def add_outfit(
    graph: GraphBuilder, key: str, *, model: Link, models: Link, features: Link, tuning: Link, mask: Link | None
) -> Link:
    """The model that wears the reference."""
    inputs = {"model": model, "models": models, "features": features, "tuning": tuning}
    if mask is not None:
        inputs["mask"] = mask
    return graph.node("Vestige_ApplyOutfit", step_id("outfit", key), **inputs).out(0)
