"""What a LoRA's header tells, as plain data for lists."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .file_hashes import FileHashes
from .lora_check import LORA_LINEAGES
from .loras import Character, LoraError
from .safetensors_header import ModelFileError, read_header

__all__ = ["character_facts", "version_facts"]

_LONGEST = 200  # characters of a text that a training tool wrote


def character_facts(character: Character, hashes: FileHashes, *, hash_files: bool = False) -> dict[str, Any]:
    """A character's versions, newest first, and which one is live.

    Hashes that are not remembered are None, unless `hash_files`. `problem` says why nothing is live, if so.
    """
    live, problem = None, None
    try:
        live = character.live()
    except LoraError as error:
        problem = str(error)
    return {
        "name": character.name,
        "live": live,
        "problem": problem,
        "versions": [
            {
                "version": number,
                **version_facts(character.versions[number].name, character.versions[number].path, hashes, hash_files),
                **({"problem": f"{clash} claims to be it too."} if (clash := character.clashes.get(number)) else {}),
            }
            for number in sorted(character.versions, reverse=True)
        ],
    }


def version_facts(name: str, path: Path, hashes: FileHashes, hash_file: bool) -> dict[str, Any]:
    """One file: what it is called, its size and hash, what it was trained on and how. `problem` says why it cannot be
    used, if so.
    """
    try:
        facts = {
            "file": name,
            "bytes": path.stat().st_size,
            "sha256": hashes.sha256(path) if hash_file else hashes.known(path),
        }
        lineage = LORA_LINEAGES(path)
        metadata = read_header(path).metadata
    except (ModelFileError, OSError) as error:
        return {"file": name, "problem": str(error)}
    return {
        **facts,
        "base_family": lineage.family or lineage.architecture,
        "base_name": _text(metadata, "ss_sd_model_name"),
        "base_sha256": lineage.base_sha256,
        "title": _text(metadata, "modelspec.title") or _text(metadata, "ss_output_name"),
        "dim": _number(metadata, "ss_network_dim"),
        "alpha": _number(metadata, "ss_network_alpha"),
        "images": _number(metadata, "ss_num_train_images"),
        "steps": _number(metadata, "ss_steps"),
        "trained_at": _time(metadata, "ss_training_finished_at"),
        "problem": None,
    }


def _text(metadata: Mapping[str, str], key: str) -> str | None:
    text = metadata.get(key, "").strip()
    return text[:_LONGEST] if text and text != "None" else None  # kohya's tools write Python's None


def _number(metadata: Mapping[str, str], key: str) -> float | None:
    try:
        number = float(metadata.get(key, ""))
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() else number


def _time(metadata: Mapping[str, str], key: str) -> str | None:
    seconds = _number(metadata, key)
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds") if seconds else None
    except (ValueError, OverflowError, OSError):
        return None
