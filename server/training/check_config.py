"""The whole check of one configuration: its keys, its contradictions, and the files it names."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from server.training.config_file import SLOT, Config, check_keys, read_config
from server.training.dataset.folders import CAPTIONS, Subset, caption_of, read_folders
from server.training.dataset_config import Group, read_dataset_config
from server.training.estimate import Estimate, estimate, memory_lines, total
from server.training.findings import Finding, ordered
from server.training.keys import Keys, known_keys
from server.training.rules import check_rules


@dataclass(frozen=True)
class Checked:
    """What was found. `estimate` is None where the pictures are not there to be counted."""

    config: Config
    findings: list[Finding]
    estimate: Estimate | None
    memory: list[str]


def check_config(path: Path, keys: Keys | None = None) -> Checked:
    """Checks the file at `path`.

    Raises:
        TrainingError: it cannot be read, or is no TOML.
    """
    config, findings = read_config(path, keys or known_keys())
    findings += check_keys(config)
    findings += check_rules(config)
    findings += _check_paths(config)
    groups, found = _groups(config)
    findings += found
    for group in groups:
        findings += _check_captions(group.config, group.subsets)
    counted = total([estimate(group.config, list(_sizes(group.subsets))) for group in groups], config)
    return Checked(config, ordered(findings), counted, memory_lines(config))


def _groups(config: Config) -> tuple[list[Group], list[Finding]]:
    """The pictures that the trainer would find, as far as they are here."""
    named = config.path("dataset_config")
    if named is not None:
        return read_dataset_config(config, named) if named.is_file() else ([], [])
    folder = config.path("train_data_dir")
    if folder is None or not folder.is_dir():
        return [], []
    subsets, found = read_folders(folder)
    where = config.where("train_data_dir")
    return [Group(config, subsets)], [Finding(one.severity, one.kind, one.text, where) for one in found]


def _check_paths(config: Config) -> Iterator[Finding]:
    """Files and folders that are named and not there. A base may be a name on a hub, `owner/model`."""
    base = config.text("pretrained_model_name_or_path")
    if base.endswith((".safetensors", ".ckpt")) and not SLOT.search(base):
        yield from _missing(config, "pretrained_model_name_or_path")
    if base.endswith(".ckpt"):
        text = "a .ckpt can run programs when it is opened: use the .safetensors of the same model."
        yield Finding("warning", "pickle", text, config.where("pretrained_model_name_or_path"))
    for name in ("train_data_dir", "reg_data_dir", "dataset_config", "sample_prompts", "vae", "network_weights"):
        if not (name == "vae" and "/" in config.text(name) and not config.text(name).endswith(".safetensors")):
            yield from _missing(config, name)


def _missing(config: Config, name: str) -> Iterator[Finding]:
    path = config.path(name)
    if path is not None and not path.exists():
        yield Finding("error", "not_there", f"{name}: {path} does not exist.", config.where(name))


def _check_captions(config: Config, subsets: list[Subset]) -> Iterator[Finding]:
    """The usual mistake: captions end in `.txt`, and the trainer looks for `.caption`."""
    extension = config.text("caption_extension") or config.text("caption_extention") or ".caption"
    pictures = [picture for one in subsets for picture in one.pictures]
    there = sum(caption_of(picture, extension).is_file() for picture in pictures)
    if not pictures or there == len(pictures):
        return
    where = config.where("caption_extension", "train_data_dir")
    other = next((e for e in CAPTIONS if e != extension and any(caption_of(p, e).is_file() for p in pictures)), None)
    if other and not there:
        said = "" if "caption_extension" in config.given else " (what it is where nothing is said)"
        text = f'captions end in {other}, and the trainer looks for {extension}{said}: caption_extension = "{other}".'
        yield Finding("error", "caption_extension", text, where)
    elif there:
        yield Finding(
            "warning", "captions_missing", f"{len(pictures) - there} pictures have no {extension} file.", where
        )
    else:
        text = f"no picture has a {extension} file: the folder's name is all that would be learnt with it."
        yield Finding("warning", "no_captions", text, where)


def _sizes(subsets: list[Subset]) -> Iterator[tuple[tuple[int, int], int]]:
    for subset in subsets:
        for picture in subset.pictures:
            try:
                with Image.open(picture) as image:
                    yield image.size, subset.repeats
            except (OSError, Image.DecompressionBombError):
                continue  # `check-dataset` names it
