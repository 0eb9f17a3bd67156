"""Whether a LoRA may go on a model: what both descend from, before a weight is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from .by_file import ByFile
from .file_hashes import FileHashes, Progress
from .lineage import FAMILIES, Lineage, checkpoint_lineage, lineage_misfit, lora_lineage
from .safetensors_header import Header, ModelFileError, read_header
from .unet_size import UnetSize

__all__ = [
    "LORA_LINEAGES",
    "LineageError",
    "checkpoint_family",
    "describe_lineage",
    "model_lineage",
    "require_lineage",
]

LORA_LINEAGES: ByFile[Lineage] = ByFile(lambda path: lora_lineage(read_header(path), path.name), 256)
_CHECKPOINTS: ByFile[Header] = ByFile(read_header, 4)
_FAMILIES: ByFile[str | None] = ByFile(lambda path: checkpoint_lineage(read_header(path), None, path.name).family, 256)


class LineageError(ModelFileError):
    """A LoRA of another lineage than the checkpoint's."""


def require_lineage(
    name: str,
    lora: Path,
    checkpoint: Path | None,
    unet: UnetSize | None,
    hashes: FileHashes,
    progress: Callable[[], Progress] | None = None,
) -> Lineage:
    """Refuses a LoRA that was trained on something else than the model is; returns what it was trained on.

    `checkpoint` is the file the model came from, where that is known, and `unet` what the model is. The checkpoint is
    hashed only where nothing else can tell; `progress` is asked for then.

    Raises:
        LineageError: they do not go together.
        ModelFileError: the LoRA's header cannot be read, or it is no LoRA.
    """
    found = LORA_LINEAGES(lora)
    model, sha256 = model_lineage(checkpoint, unet, hashes)
    if checkpoint is not None and sha256 is None and _hash_would_tell(found, model):
        sha256 = hashes.sha256(checkpoint, progress() if progress is not None else None)
        model, _ = model_lineage(checkpoint, unet, hashes)
    why = lineage_misfit(found, model, sha256)
    if why is not None:
        raise LineageError(
            f"{name} {why}: use a version trained for this checkpoint, or allow another lineage on this node."
        )
    return found


def model_lineage(checkpoint: Path | None, unet: UnetSize | None, hashes: FileHashes) -> tuple[Lineage, str | None]:
    """What a model descends from, from its file where that is known and from its layers, and the file's hash where it
    is remembered.
    """
    by_layers = Lineage(unet.cross_dim if unet is not None else None)
    if checkpoint is None:
        return by_layers, None
    sha256 = hashes.known(checkpoint)
    try:
        header = _CHECKPOINTS(checkpoint)
    except ModelFileError:
        header = Header({}, {})  # a format that is never opened here; its name and hash still tell
    found = checkpoint_lineage(header, sha256, checkpoint.name)
    return replace(found, cross_dim=by_layers.cross_dim or found.cross_dim), sha256


def checkpoint_family(checkpoint: Path, sha256: str | None) -> str | None:
    """What a checkpoint descends from, by a name of `FAMILIES`; None where nothing tells, or it cannot be read."""
    try:
        return checkpoint_lineage(Header({}, {}), sha256, "").family or _FAMILIES(checkpoint)
    except ModelFileError:
        return None


def describe_lineage(lora: Lineage) -> str:
    """What a LoRA was trained on, for people."""
    family = lora.family or lora.architecture
    if family is None:
        return "trained on a base it does not name"
    return f"trained on {FAMILIES.get(family, family)}"


def _hash_would_tell(lora: Lineage, model: Lineage) -> bool:
    """Whether the LoRA names its base, and nothing else says that the model is the same."""
    if lora.architecture and model.architecture and lora.architecture != model.architecture:
        return False
    named = lora.family is not None or lora.base_sha256 is not None
    return named and model.family != lora.family
