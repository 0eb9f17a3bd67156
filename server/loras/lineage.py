"""What a LoRA was trained on, told from its header: the sha256 of a known base, then names, then shapes.

SDXL, Pony, Illustrious and Animagine have the same shapes; only what a trainer wrote down tells them apart. The node
pack knows the same bases (`comfy_nodes/outfit_tuner/lineage.py`); a test holds both to the same answers.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from server.loras.header import Tensor

__all__ = ["FAMILIES", "Lineage", "lineage"]

FAMILIES = {
    "sd15": "Stable Diffusion 1.5",
    "sd2": "Stable Diffusion 2",
    "sdxl": "SDXL",
    "pony": "Pony Diffusion (SDXL)",
    "illustrious": "Illustrious (SDXL)",
    "animagine": "Animagine (SDXL)",
}
"""The base families by name, as people know them. NoobAI is trained from Illustrious and counts as it."""

BASES = {
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
_ARCHITECTURES = (  # how trainers call them, by how the text begins
    ("sdxl", ("sdxl", "stable-diffusion-xl")),
    ("sd15", ("sd_v1", "sd1", "stable-diffusion-v1")),
    ("sd2", ("sd_v2", "sd2", "stable-diffusion-v2")),
)
_BY_CROSS_DIM = {768: "sd15", 1024: "sd2", 2048: "sdxl"}
_TEXT_TO_KEY = re.compile(
    r"attn2[._](?:processor[._])?to_k(?:_lora)?(?:[._]lora)?[._](lora_down|lora_A|down|hada_w1_b|lokr_w2_b)\b"
)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NO_WORD = re.compile(r"[^a-z0-9._/-]")


@dataclass(frozen=True, slots=True)
class Lineage:
    """`family`: a name of `FAMILIES`, or a trainer's own word for another kind of model; None where nothing tells.
    `evidence`: where it was read. `sha256`: of the base file itself, where a trainer wrote it down.
    """

    family: str | None
    evidence: str = ""
    sha256: str | None = None


def lineage(tensors: Mapping[str, Tensor], metadata: Mapping[str, str], base_names: Sequence[str]) -> Lineage:
    """What a LoRA descends from. `base_names`: how trainers called its base, most telling first."""
    sha256 = metadata.get("ss_new_sd_model_hash", "").lower()
    known = sha256 if _SHA256.fullmatch(sha256) else None
    if known in BASES:
        return Lineage(BASES[known], "the hash of its base", known)
    for name in base_names:
        found = {family for family, words in _WORDS if words.search(name.lower())}
        if len(found) == 1:
            return Lineage(found.pop(), "the name of its base", known)
    by_shape = _BY_CROSS_DIM.get(_cross_dim(tensors))
    for key in ("ss_base_model_version", "modelspec.architecture"):
        architecture = _architecture(metadata.get(key, ""))
        if architecture and architecture != "sdxl":  # every descendant of SDXL says sdxl here
            return Lineage(architecture, key, known)
        if architecture and by_shape is None:
            by_shape = architecture
    return Lineage(by_shape, "its shape" if by_shape else "", known)


def _cross_dim(tensors: Mapping[str, Tensor]) -> int:
    """The channels of the text that it listens to; 0 where no layer tells."""
    return next(
        (tensor.shape[1] for key, tensor in tensors.items() if _TEXT_TO_KEY.search(key) and len(tensor.shape) == 2), 0
    )


def _architecture(text: str) -> str | None:
    word = _NO_WORD.sub("", text.lower().removesuffix("/lora"))[:40]
    return next((name for name, starts in _ARCHITECTURES if word.startswith(starts)), word or None)
