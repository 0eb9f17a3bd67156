"""A `--dataset_config` as far as it says which pictures there are: `[general]`, `[[datasets]]`, `[[datasets.subsets]]`.

The trainer itself checks this file strictly, so its keys are not checked again here.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from server.training.config_file import Config
from server.training.dataset.folders import PICTURES, Subset
from server.training.findings import Finding, TrainingError

__all__ = ["Group", "read_dataset_config"]

_NAMES = {
    "batch_size": "train_batch_size",
    "enable_bucket": "enable_bucket",
    "min_bucket_reso": "min_bucket_reso",
    "max_bucket_reso": "max_bucket_reso",
    "bucket_reso_steps": "bucket_reso_steps",
    "bucket_no_upscale": "bucket_no_upscale",
    "caption_extension": "caption_extension",
}
"""Here → as the configuration itself would say it."""


@dataclass(frozen=True)
class Group:
    """The pictures of one `[[datasets]]`, and the configuration as it is for them."""

    config: Config
    subsets: list[Subset]


def read_dataset_config(config: Config, path: Path) -> tuple[list[Group], list[Finding]]:
    """The groups that `path` names, and what of them is not there.

    Raises:
        TrainingError: it cannot be read, or is no TOML.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TrainingError(f"{path} cannot be read: {error}.") from None
    general = _table(document.get("general"))
    groups, findings = [], list[Finding]()
    for dataset in _tables(document.get("datasets")):
        said = general | dataset
        subsets = []
        for subset in _tables(dataset.get("subsets")):
            found = _subset(said | subset, path)
            if isinstance(found, Finding):
                findings.append(found)
            else:
                subsets.append(found)
        first = _tables(dataset.get("subsets"))[:1]
        groups.append(Group(_as_said(config, said | (first[0] if first else {})), subsets))
    if not groups:
        findings.append(Finding("error", "no_pictures", "it names no [[datasets]] with pictures.", path.name))
    return groups, findings


def _subset(said: Mapping[str, Any], path: Path) -> Subset | Finding:
    named = said.get("image_dir")
    if not isinstance(named, str):
        return Finding("error", "no_pictures", "a [[datasets.subsets]] has no image_dir.", path.name)
    folder = path.parent / Path(named).expanduser()
    if not folder.is_dir():
        return Finding("error", "not_there", f"image_dir: {folder} does not exist.", path.name)
    pictures = tuple(one for one in sorted(folder.iterdir()) if one.suffix.lower() in PICTURES and one.is_file())
    if not pictures:
        return Finding("error", "empty_folder", f"image_dir: there are no pictures in {folder}.", path.name)
    repeats = said.get("num_repeats", 1)
    return Subset(folder, repeats if isinstance(repeats, int) and repeats > 0 else 1, folder.name, pictures)


def _as_said(config: Config, said: Mapping[str, Any]) -> Config:
    given = {_NAMES[name]: value for name, value in said.items() if name in _NAMES}
    match said.get("resolution"):
        case int(side):
            given["resolution"] = str(side)
        case [int(width), int(height)]:
            given["resolution"] = f"{width},{height}"
    return replace(config, given={**config.given, **given})


def _table(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _tables(value: object) -> list[dict[str, Any]]:
    return [_table(one) for one in value] if isinstance(value, list) else []
