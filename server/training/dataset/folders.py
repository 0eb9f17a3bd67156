"""A folder of training pictures as the trainer reads it: `10_name` holds pictures that are each seen 10 times."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from server.training.findings import Finding, TrainingError

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
"""What the trainer opens; other kinds (HEIC, AVIF, GIF) are passed over without a word."""
OTHER_PICTURES = frozenset({".heic", ".heif", ".avif", ".gif", ".tif", ".tiff", ".jxl", ".psd", ".svg"})
CAPTIONS = (".txt", ".caption")
MOST = 10_000


@dataclass(frozen=True, slots=True)
class Subset:
    """One `N_name` folder: its pictures by name, each seen `repeats` times in an epoch."""

    folder: Path
    repeats: int
    name: str
    pictures: tuple[Path, ...]


def read_folders(folder: Path) -> tuple[list[Subset], list[Finding]]:
    """The subsets of a dataset, and what of it the trainer would pass over.

    Raises:
        TrainingError: there is no such folder, or it cannot be read, or holds more pictures than any dataset does.
    """
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise TrainingError(f"{folder} cannot be read: {error.strerror or error}.") from None
    findings = list(_loose(folder, entries))
    subsets: list[Subset] = []
    for entry in entries:
        if not entry.is_dir() or entry.name.startswith("."):
            continue
        head, _, name = entry.name.partition("_")
        repeats = int(head) if head.isascii() and head.isdigit() else 0
        pictures = tuple(path for path in sorted(entry.iterdir()) if _is_picture(path))
        if repeats < 1:
            if pictures:
                told = f"the trainer passes over {entry.name}, for it has no number: call it 10_{entry.name}."
                findings.append(Finding("error", "no_repeats", told, entry.name))
            continue
        findings += _passed_over(entry)
        if not pictures:
            findings.append(Finding("error", "empty_folder", "there are no pictures in it.", entry.name))
            continue
        subsets.append(Subset(entry, repeats, name, pictures))
    if sum(len(one.pictures) for one in subsets) > MOST:
        raise TrainingError(f"{folder} holds more than {MOST:,} pictures: that is no dataset of one character.")
    if not subsets and not findings:
        findings.append(Finding("error", "no_folders", f"{folder} holds no N_name folder with pictures, as 10_halina."))
    return subsets, findings


def caption_of(picture: Path, extension: str) -> Path:
    """Where the trainer looks for a picture's caption. `extension` with or without its dot."""
    return picture.with_suffix(extension if extension.startswith(".") else f".{extension}")


def _is_picture(path: Path) -> bool:
    # the trainer looks for endings all in small or all in capital letters
    suffix = path.suffix
    return path.is_file() and suffix.lower() in PICTURES and suffix in (suffix.lower(), suffix.upper())


def _loose(folder: Path, entries: list[Path]) -> Iterator[Finding]:
    """Pictures that lie in the dataset's own folder: somebody named the inner folder."""
    loose = sum(_is_picture(entry) for entry in entries)
    if not loose:
        return
    if folder.name.partition("_")[0].isdigit():
        text = f"this is an N_name folder itself: name its parent, {folder.absolute().parent}."
    else:
        text = f"{loose} pictures lie in {folder} itself and are not seen: move them into a folder such as 10_name."
    yield Finding("error", "loose_pictures", text, folder.name)


def _passed_over(folder: Path) -> Iterator[Finding]:
    for path in sorted(folder.iterdir()):
        suffix = path.suffix
        if path.is_dir():
            yield Finding("warning", "inner_folder", "folders within it are not read.", f"{folder.name}/{path.name}")
        elif suffix.lower() in OTHER_PICTURES or (suffix.lower() in PICTURES and not _is_picture(path)):
            yield Finding(
                "warning",
                "other_kind",
                f"the trainer does not open {suffix}: save it as PNG.",
                f"{folder.name}/{path.name}",
            )
