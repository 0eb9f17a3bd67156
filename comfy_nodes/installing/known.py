"""The model files the outfit chain is known to work with, as their publisher has them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KNOWN", "RECOMMENDED", "KnownFile", "known"]


@dataclass(frozen=True)
class KnownFile:
    """One published file. `bytes` is None where the size was never seen; `sha256` is of the whole file.

    `name` is what the file is called in ComfyUI's folder; `path` where it lies in the repository `source` of the
    Hugging Face hub.
    """

    name: str
    folder: str
    sha256: str
    bytes: int | None
    source: str
    path: str
    what: str


KNOWN: tuple[KnownFile, ...] = (
    KnownFile(
        name="ip-adapter-plus_sdxl_vit-h.safetensors",
        folder="ipadapter",
        sha256="3f5062b8400c94b7159665b21ba5c62acdcd7682262743d7f2aefedef00e6581",
        bytes=847_517_512,
        source="h94/IP-Adapter",
        path="sdxl_models/ip-adapter-plus_sdxl_vit-h.safetensors",
        what="SDXL adapter that keeps an item's details; with the ViT-H encoder",
    ),
    KnownFile(
        name="CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors",
        folder="clip_vision",
        sha256="6ca9667da1ca9e0b0f75e46bb030f7e011f44f86cbfb8d5a36590fcd7507b030",
        bytes=2_528_373_448,
        source="h94/IP-Adapter",
        path="models/image_encoder/model.safetensors",
        what="image encoder ViT-H",
    ),
    KnownFile(
        name="ip-adapter_sdxl_vit-h.safetensors",
        folder="ipadapter",
        sha256="ebf05d918348aec7abb02a5e9ecef77e0aaea6914a5c4ea13f50d45eb1681831",
        bytes=None,
        source="h94/IP-Adapter",
        path="sdxl_models/ip-adapter_sdxl_vit-h.safetensors",
        what="SDXL adapter, looser; with the ViT-H encoder",
    ),
    KnownFile(
        name="ip-adapter_sd15.safetensors",
        folder="ipadapter",
        sha256="289b45f16d043d0bf542e45831f971dcdaabe18b656f11e86d9dfba7e9ee3369",
        bytes=None,
        source="h94/IP-Adapter",
        path="models/ip-adapter_sd15.safetensors",
        what="SD 1.5 adapter; with the ViT-H encoder",
    ),
    KnownFile(
        name="CLIP-ViT-bigG-14-laion2B-39B-b160k.safetensors",
        folder="clip_vision",
        sha256="657723e09f46a7c3957df651601029f66b1748afb12b419816330f16ed45d64d",
        bytes=None,
        source="h94/IP-Adapter",
        path="sdxl_models/image_encoder/model.safetensors",
        what="image encoder ViT-bigG, for adapters that were trained with it",
    ),
)

RECOMMENDED: tuple[KnownFile, ...] = KNOWN[:2]
"""The pair that shipped workflows and presets start from."""


def known(name: str) -> KnownFile:
    """The known file of this name. Raises `KeyError` with the names there are."""
    for file in KNOWN:
        if name in (file.name, file.name.removesuffix(".safetensors")):
            return file
    raise KeyError(f"{name} is no known model: choose from {', '.join(file.name for file in KNOWN)}.")
