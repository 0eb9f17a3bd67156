"""What a checkpoint and a LoRA descend from, told from headers.

A LoRA is a difference to the weights it was trained on. It carries over to a checkpoint of the same descent: the one it
was trained on, or a finetune of that. Stable Diffusion 1.5 and SDXL differ in shape; SDXL, Pony, Illustrious and
Animagine do not, and only what training tools wrote down tells them apart.

Strongest first: the sha256 of a known base, the text in a header, the file's name (the only sign that most merged
checkpoints give).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .safetensors_header import Header, ModelFileError
from .unet_size import unet_name, unet_size

__all__ = ["FAMILIES", "Lineage", "checkpoint_lineage", "lineage_misfit", "lora_lineage"]

FAMILIES = {
    "sd15": "Stable Diffusion 1.5",
    "sd2": "Stable Diffusion 2",
    "sdxl": "SDXL",
    "pony": "Pony Diffusion (SDXL)",
    "illustrious": "Illustrious (SDXL)",
    "animagine": "Animagine (SDXL)",
}
"""The base families by name, as people know them. NoobAI is trained from Illustrious and counts as it."""

_BASES = {
    "6ce0161689b3853acaa03779ec93eafe75a02f4ced659bee03f50797806fa2fa": "sd15",  # v1-5-pruned-emaonly
    "31e35c80fc4829d14f90153f4c74cd59c90b779f6afe05a74cd6120b893f7e5b": "sdxl",  # sd_xl_base_1.0
    "67ab2fd8ec439a89b3fedb15cc65f54336af163c7eb5e4f2acc98f090a29b0b3": "pony",  # Pony Diffusion V6 XL
    "3e15ba00387db678ab4a099f75771c4f5ac67fda9e7100a01d263eaf30145aa9": "illustrious",  # Illustrious-XL v0.1
    "1449e5b0b9de87b0f414c5f29cb11ce3b3dc61fa2b320e784c9441720bf7b766": "animagine",  # Animagine XL 3.0
    "e3c47aedb06418c6c331443cd89f2b3b3b34b7ed2102a3d4c4408a8d35aad6b0": "animagine",  # Animagine XL 3.1
}
_WORDS = (
    ("pony", re.compile(r"pony|^290640\b")),  # Civitai's trainer writes its number of the base instead of a name
    ("illustrious", re.compile(r"illustrious|noob|^889818\b")),
    ("animagine", re.compile(r"animagine")),
    ("sdxl", re.compile(r"sd_?xl_?base|stable-diffusion-xl-base")),
    ("sd15", re.compile(r"v1-5-pruned|stable-diffusion-v1-5")),
)
_ARCHITECTURES = (  # how training tools call them, by how the text begins
    ("sdxl", ("sdxl", "stable-diffusion-xl")),
    ("sd15", ("sd_v1", "sd1", "stable-diffusion-v1")),
    ("sd2", ("sd_v2", "sd2", "stable-diffusion-v2")),
)
_SHAPED_LIKE = {"pony": "sdxl", "illustrious": "sdxl", "animagine": "sdxl"}
_BY_CROSS_DIM = {768: "sd15", 1024: "sd2", 2048: "sdxl"}
_MERGES = ("sd_merge_models", "sd_merge_recipe", "modelspec.merged_from", "modelspec.title")
_LORA = re.compile(
    r"lora[._](down|up|A|B|linear_layer)\b"
    r"|\.(hada_w|lokr_w|oft_|dora_scale|glora|[ab][12]\.weight$|diff$|diff_b$|set_weight$)"
)
_TEXT_TO_KEY = re.compile(r"attn2[._](?:processor[._])?to_k(?:_lora)?[._](lora_down|lora_A|down|hada_w1_b|lokr_w2_b)\b")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Lineage:
    """What is known of a file's descent; None is what is not.

    `cross_dim`: channels of its text conditioning. `family`: a name of `FAMILIES`, or what a training tool called
    another kind of model. `evidence`: where the family was read. `base_sha256`: of the file a LoRA was trained on.
    """

    cross_dim: int | None = None
    family: str | None = None
    evidence: str = ""
    base_sha256: str | None = None

    @property
    def architecture(self) -> str | None:
        """The family whose shapes it has: `sd15`, `sd2`, `sdxl`, or another kind of model by a tool's name for it."""
        by_shape = _BY_CROSS_DIM.get(self.cross_dim or 0)
        return by_shape or _SHAPED_LIKE.get(self.family or "", self.family)


def lora_lineage(header: Header, name: str) -> Lineage:
    """What a LoRA was trained on, from the keys that kohya's tools, OneTrainer and modelspec write.

    Raises:
        ModelFileError: it is no LoRA.
    """
    if not any(map(_LORA.search, header.tensors)):
        raise ModelFileError(f"{name} is no LoRA: choose a file from the loras folder.")
    metadata = header.metadata
    cross_dim = next(
        (info.shape[1] for key, info in header.tensors.items() if _TEXT_TO_KEY.search(key) and len(info.shape) == 2),
        None,
    )
    base = metadata.get("ss_new_sd_model_hash", "").lower()
    base_sha256 = base if _SHA256.fullmatch(base) else None
    if base_sha256 in _BASES:
        return Lineage(cross_dim, _BASES[base_sha256], "the hash of its base", base_sha256)
    named = metadata.get("ss_sd_model_name", "")
    family = _family([named])
    if family:
        return Lineage(cross_dim, family, f"the name of its base, {_short(named)}", base_sha256)
    for key in ("ss_base_model_version", "modelspec.architecture"):
        architecture = _architecture(metadata.get(key, ""))
        if architecture and architecture != "sdxl":  # every descendant of SDXL says sdxl here
            return Lineage(cross_dim, architecture, f"its {key}", base_sha256)
    return Lineage(cross_dim, _by_shape(cross_dim), "its shape", base_sha256)


def checkpoint_lineage(header: Header, sha256: str | None, name: str) -> Lineage:
    """What a checkpoint descends from. `sha256` where it is known, `name` is the file's."""
    size = unet_size((key, info.shape) for key, info in header.tensors.items())
    cross_dim = size.cross_dim if size is not None else None
    if sha256 in _BASES:
        return Lineage(cross_dim, _BASES[sha256], "its hash")
    family = _family(header.metadata.get(key, "") for key in _MERGES)
    if family:
        return Lineage(cross_dim, family, "its header")
    family = _family([name])
    if family:
        return Lineage(cross_dim, family, "its file name")
    return Lineage(cross_dim, _by_shape(cross_dim), "its shape")


def lineage_misfit(lora: Lineage, checkpoint: Lineage, checkpoint_sha256: str | None = None) -> str | None:
    """Why a LoRA does not carry over to a checkpoint, as the end of a sentence; None where nothing tells against it."""
    if lora.cross_dim and checkpoint.cross_dim and lora.cross_dim != checkpoint.cross_dim:
        return f"was trained for {unet_name(lora.cross_dim)}, and the checkpoint is {unet_name(checkpoint.cross_dim)}"
    ours, theirs = lora.architecture, checkpoint.architecture
    if ours and theirs and ours != theirs:
        return f"was trained for {_called(ours)}, and the checkpoint is {_called(theirs)}"
    if lora.base_sha256 is not None and lora.base_sha256 == checkpoint_sha256:
        return None  # on this very file
    if lora.family is None or checkpoint.family is None or lora.family == checkpoint.family:
        return None
    return (
        f"was trained on {_called(lora.family)} ({lora.evidence} says so), and the checkpoint is "
        f"{_called(checkpoint.family)} ({checkpoint.evidence} says so)"
    )


def _by_shape(cross_dim: int | None) -> str | None:
    """The family that shapes alone tell; none for SDXL's, which its descendants share."""
    family = _BY_CROSS_DIM.get(cross_dim or 0)
    return None if family == "sdxl" else family


def _called(family: str) -> str:
    return FAMILIES.get(family, family)


def _family(texts: Iterable[str]) -> str | None:
    """The one family that texts speak of; None where they speak of none or of several."""
    lower = [text.lower() for text in texts]
    found = {family for family, words in _WORDS if any(map(words.search, lower))}
    return found.pop() if len(found) == 1 else None


def _architecture(text: str) -> str | None:
    text = text.lower().removesuffix("/lora")
    if not text:
        return None
    return next((name for name, starts in _ARCHITECTURES if text.startswith(starts)), text[:40])


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}…"
