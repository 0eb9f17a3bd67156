"""One outfit on one character: which template a host can run, and its slots filled."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from server.errors import GraphRejected, InvalidRequest
from server.render.choices import choices, meant
from server.render.templates import Template, Value, read_template
from server.render.types import Graph

__all__ = ["OUTFIT", "OUTFIT_IPADAPTER_PLUS", "PUBLISHED", "TUNING", "Outfit", "fill", "template_for"]

OUTFIT = "outfit_preview"
OUTFIT_IPADAPTER_PLUS = "outfit_preview_ipadapter_plus"
_ENDS_IN = "vestige/outfit"

TUNING: Mapping[str, Value] = {
    "weight": 0.4,
    "start_at": 0.0,
    "end_at": 0.8,
    "weight_type": "linear",
    "embeds_scaling": "V only",
    "combine": "concat",
    "behaviour": "ipadapter_plus",
    "layer_weights": "",
    "lora_model": 0.8,
    "lora_clip": 0.8,
    "freeu": False,
    "freeu_b1": 1.3,
    "freeu_b2": 1.4,
    "freeu_s1": 0.9,
    "freeu_s2": 0.2,
}
"""What a tuning begins with, by slot: a moderate weight and an early end. The pack's own defaults are the same."""

PUBLISHED: Mapping[str, tuple[str, ...]] = {
    "adapter": ("ip-adapter-plus_sdxl_vit-h.safetensors", "ip-adapter_sdxl_vit-h.safetensors"),
    "encoder": ("CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors",),
}
_FILES = {"adapter": ("IPAdapterModelLoader", "ipadapter_file"), "encoder": ("CLIPVisionLoader", "clip_name")}


@dataclass(frozen=True, slots=True)
class Outfit:
    """What is asked for, in a person's words. `reference` is the uploaded picture's name among the host's inputs.

    `lora`: a character, `name` or `name@version`, where the host has our pack; a LoRA file elsewhere; None for no
    character. `preset` is `name@version` and takes the place of the tuning. Sizes in pixels.
    """

    reference: str
    checkpoint: str
    lora: str | None = None
    preset: str | None = None
    adapter: str | None = None
    encoder: str | None = None
    prompt: str = "full body photo, standing, plain background, soft light"
    negative: str = "blurry, low quality, cropped, deformed"
    seed: int = 0
    steps: int = 28
    cfg: float = 5.0
    sampler: str = "dpmpp_2m"
    scheduler: str = "karras"
    width: int = 832
    height: int = 1216
    tuning: Mapping[str, Value] = field(default_factory=dict)


def template_for(nodes: Mapping[str, Any], host: str) -> Template:
    """The template that a host's nodes can run: ours where the pack is installed, else the well-known pack's.

    Raises:
        GraphRejected: neither pack is there.
    """
    for name in (OUTFIT, OUTFIT_IPADAPTER_PLUS):
        template = read_template(name)
        if all(node["class_type"] in nodes for node in template.nodes.values()):
            return template
    raise GraphRejected(
        f"{host} has neither Vestige's nodes nor IPAdapter_plus: install one of them there, then restart it."
    )


def fill(template: Template, outfit: Outfit, nodes: Mapping[str, Any]) -> Graph:
    """The graph, with every name checked against what the host has.

    Raises:
        InvalidRequest: a checkpoint, character, file or preset the host does not have.
    """
    ours = template.name == OUTFIT
    if outfit.preset and not ours:
        raise InvalidRequest("Presets live in Vestige's node pack, which this host lacks: give --weight and --end-at.")
    values: dict[str, Value] = {
        **TUNING,
        **outfit.tuning,
        "checkpoint": meant(outfit.checkpoint, choices(nodes, "CheckpointLoaderSimple", "ckpt_name"), "checkpoint"),
        "reference": outfit.reference,
        "prompt": outfit.prompt,
        "negative": outfit.negative,
        "seed": outfit.seed,
        "steps": outfit.steps,
        "cfg": outfit.cfg,
        "sampler": meant(outfit.sampler, choices(nodes, "KSampler", "sampler_name"), "sampler"),
        "scheduler": meant(outfit.scheduler, choices(nodes, "KSampler", "scheduler"), "scheduler"),
        "width": outfit.width,
        "height": outfit.height,
        "filename_prefix": _ENDS_IN,
    }
    if ours:
        values |= _character(outfit, nodes)
        values |= {"adapter": outfit.adapter or "auto", "encoder": outfit.encoder or "auto"}
        left_out: list[str] = []
    else:
        values |= {name: _file(name, getattr(outfit, name), nodes) for name in _FILES}
        if outfit.lora:
            values["lora"] = meant(outfit.lora, choices(nodes, "LoraLoader", "lora_name"), "LoRA")
        left_out = ([] if outfit.lora else ["lora"]) + ([] if values["freeu"] else ["freeu"])
    filled = template.fill({name: value for name, value in values.items() if name in template.slots}, left_out)
    return _with_preset(filled, outfit.preset) if outfit.preset else filled


def _character(outfit: Outfit, nodes: Mapping[str, Any]) -> dict[str, Value]:
    if outfit.lora is None:
        return {"character": "none", "version": "live"}
    name, _, version = outfit.lora.partition("@")
    offered = [one for one in choices(nodes, "Vestige_OutfitChain", "character") if one != "none"]
    if not offered:
        raise InvalidRequest(
            f"The host knows no character: put the LoRA into its models/loras as {name}_v1.safetensors."
        )
    return {"character": meant(name, offered, "character"), "version": version or "live"}


def _file(name: str, given: str | None, nodes: Mapping[str, Any]) -> str:
    """On a host without our pack files are known by their names alone, so a doubtful one has to be named."""
    offered = choices(nodes, *_FILES[name])
    if given is not None:
        return meant(given, offered, name)
    for published in PUBLISHED[name]:
        if published in offered:
            return published
    if len(offered) == 1:
        return offered[0]
    there = ", ".join(offered) or "none at all"
    raise InvalidRequest(f"Which {name}? Name one with --{name}. There is: {there}.")


def _with_preset(graph: Graph, preset: str) -> Graph:
    node = {"class_type": "Vestige_TuningPreset", "inputs": {"preset": preset, "on_misfit": "refuse"}}
    return {**graph, "tuning": node}
