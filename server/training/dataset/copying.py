"""`--fix`: a copy of a dataset with everything mended that can be mended without losing anything."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageOps

from server.training.dataset.captions import read_caption
from server.training.dataset.folders import caption_of
from server.training.dataset.measures import FORMATS
from server.training.dataset.report import Report
from server.training.findings import TrainingError


def mended_copy(report: Report, target: Path, extension: str = ".txt") -> list[str]:
    """Copies the dataset to `target`, which must not exist, and says what is otherwise there than in the original.

    Pictures that EXIF turns are saved upright as PNG; captions of several lines become one, and end in `extension`;
    transparency that hides nothing goes. The original is never written to, and a copy that fails half-way is gone.

    Raises:
        TrainingError: `target` exists or lies within the dataset, or the disk refuses.
    """
    source = report.folder.absolute()
    target = target.absolute()
    if target.exists():
        raise TrainingError(f"{target} exists: name a folder that does not, for a copy is made there.")
    if target.is_relative_to(source):
        raise TrainingError(f"{target} lies within the dataset itself: name another place.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            said = _copied(report, source, part, extension)
            part.rename(target)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
    except OSError as error:
        raise TrainingError(f"The copy could not be made: {error.strerror or error}.") from None
    target.chmod(0o755)
    return said


def _copied(report: Report, source: Path, part: Path, extension: str) -> list[str]:
    said: list[str] = []
    for entry in source.iterdir():
        if entry.is_file():
            shutil.copy2(entry, part / entry.name)
    taken = {picture.path for picture in report.pictures}
    for picture in report.pictures:
        folder = part / picture.path.parent.name
        folder.mkdir(exist_ok=True)
        kinds = {one.kind for one in picture.findings}
        if "damaged" not in kinds and "animated" not in kinds and "rotated" in kinds:
            stored = folder / f"{picture.path.stem}.png"
            if picture.path.with_suffix(".png") in taken - {picture.path}:
                raise TrainingError(f"{picture.name} and another picture would both be {stored.name}: rename one.")
            _upright(picture.path).save(stored, "PNG")
            said.append(f"{picture.name}: turned upright, now {stored.name}.")
        else:
            shutil.copy2(picture.path, folder / picture.path.name)
        said += _caption(picture.path, folder, extension, picture.name)
    return said


def _upright(path: Path) -> Image.Image:
    with Image.open(path, formats=FORMATS) as image:
        return ImageOps.exif_transpose(image).copy()


def _caption(path: Path, folder: Path, extension: str, name: str) -> Sequence[str]:
    found = next((one for one in _captions(path, extension) if one.is_file()), None)
    if found is None:
        return []
    stored = folder / f"{path.stem}{extension}"
    if read_caption(found).problem in ("not_utf8", "empty_caption"):
        shutil.copy2(found, stored)
        return []
    text = found.read_bytes().decode("utf-8").removeprefix("\ufeff")
    whole = " ".join(line.strip() for line in text.splitlines() if line.strip())
    stored.write_text(whole + "\n", encoding="utf-8")
    notes = [f"{name}: its caption now ends in {extension}."] if found.suffix != extension else []
    return notes + ([f"{name}: the lines of its caption are one."] if len(text.strip().splitlines()) > 1 else [])


def _captions(path: Path, extension: str) -> list[Path]:
    return [caption_of(path, one) for one in dict.fromkeys((extension, ".txt", ".caption"))]
