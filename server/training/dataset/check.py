"""Checks a folder of training pictures, one by one and together."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from server.training.buckets import Buckets, Placed
from server.training.dataset.captions import (
    about_tokens,
    always_said,
    framing,
    names_in,
    names_of,
    read_caption,
)
from server.training.dataset.folders import CAPTIONS, Subset, caption_of, read_folders
from server.training.dataset.likeness import near_duplicates, same_angles
from server.training.dataset.measures import Measures, Unreadable, measure
from server.training.dataset.report import Picture, Report, finding
from server.training.dataset.sources import FILE, read_sources
from server.training.findings import Finding

FEWEST, MOST = 15, 30
TINY, SMALL = 2.0, 1.05
"""By how much a picture is enlarged to fill its bucket."""
CUT = 0.10
BLURRED = 60.0
"""Variance of the Laplacian below which nothing in a picture is sharp; see `measures`."""
CLEAR = 0.002
ONE_ANGLE = 0.34
"""The share of all pictures that may show one angle."""
FACES, BODIES = 0.2, 0.15
TOKENS = 75


def check_dataset(
    folder: Path,
    *,
    buckets: Buckets | None = None,
    batch_size: int = 1,
    caption_extension: str | None = None,
    names: Collection[str] = (),
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Report:
    """The dataset in `folder`.

    Args:
        caption_extension: where captions are; the one that most pictures have where None.
        names: of the character, beside those that the folders are called by.

    Raises:
        TrainingError: there is no such folder, or its `sources.csv` cannot be read.
    """
    subsets, findings = read_folders(folder)
    sources = read_sources(folder)
    buckets = buckets or Buckets()
    extension = caption_extension or _usual_extension(subsets)
    total, done = sum(len(one.pictures) for one in subsets), 0
    pictures: list[Picture] = []
    measured: dict[str, Measures] = {}
    for subset in subsets:
        spoken = {*names, *names_of(subset.name)}
        for path in subset.pictures:
            name = f"{subset.folder.name}/{path.name}"
            source = sources.get(name) or sources.get(path.name) or {}
            picture, its = _look(path, name, subset.repeats, buckets, extension, spoken, source)
            pictures.append(picture)
            if its is not None:
                measured[name] = its
            progress(done := done + 1, total)
    findings += _together(pictures, batch_size)
    findings += _caption_words(pictures)
    if sources:
        known = {one.name for one in pictures} | {one.path.name for one in pictures}
        findings += [finding("unknown_source", FILE, name) for name in sources if name not in known]
    elif pictures:
        findings.append(finding("no_source", detail=f"there is no {FILE}"))
    names_in_order = list(measured)
    same, angles = near_duplicates(list(measured.values())), same_angles(list(measured.values()))
    named = [[names_in_order[index] for index in group] for group in same]
    turned = [[names_in_order[index] for index in group] for group in angles]
    findings += [finding("same", group[0], f"like {', '.join(group[1:])}") for group in named]
    findings += [
        finding("same_angle", group[0], f"{len(group)} of {len(pictures)}")
        for group in turned
        if len(group) >= 3 and len(group) > ONE_ANGLE * len(pictures)
    ]
    framings = Counter(framing(one.caption) or "not said" for one in pictures)
    findings += _framing(framings)
    return Report(folder, pictures, findings, named, turned, dict(sorted(framings.items())))


def _usual_extension(subsets: Sequence[Subset]) -> str:
    pictures = [path for one in subsets for path in one.pictures]
    return max(CAPTIONS, key=lambda extension: sum(caption_of(path, extension).is_file() for path in pictures))


def _look(
    path: Path,
    name: str,
    repeats: int,
    buckets: Buckets,
    extension: str,
    names: Collection[str],
    source: dict[str, str],
) -> tuple[Picture, Measures | None]:
    caption = read_caption(caption_of(path, extension))
    findings = [finding(caption.problem, name)] if caption.problem else []
    findings += [finding("named", name, f"“{said}”") for said in names_in(caption.text, names)]
    if about_tokens(caption.text) > TOKENS:
        findings.append(finding("long_caption", name, f"about {about_tokens(caption.text)} tokens"))
    told = ", ".join(filter(None, source.values()))
    if not source.get("source") and source:
        findings.append(finding("no_source", name))
    try:
        measured = measure(path)
    except Unreadable as error:
        findings.append(finding("damaged", name, str(error)))
        return Picture(name, path, repeats, caption.text, told, None, 0.0, None, tuple(findings)), None
    placed = buckets.of(measured.size)
    findings += _of_picture(measured, placed, name)
    picture = Picture(
        name, path, repeats, caption.text, told, placed, measured.sharpness, measured.thumbnail, tuple(findings)
    )
    return picture, measured


def _of_picture(measured: Measures, placed: Placed, name: str) -> Iterator[Finding]:
    size = f"{measured.size[0]} × {measured.size[1]}"
    if measured.turned:
        yield finding("rotated", name)
    if measured.frames > 1:
        yield finding("animated", name, f"{measured.frames} frames")
    if measured.clear > CLEAR:
        yield finding("transparent", name, f"{measured.clear:.0%}")
    if placed.scale > TINY:
        yield finding("tiny", name, size)
    elif placed.scale > SMALL:
        yield finding("small", name, f"{size}, trained at {placed.bucket[0]} × {placed.bucket[1]}")
    if placed.cut > CUT:
        yield finding("cut", name, f"{placed.cut:.0%} of {size}")
    if measured.sharpness < BLURRED:
        yield finding("blurred", name, f"{measured.sharpness:.0f}, sharp ones have {BLURRED:.0f} and more")


def _together(pictures: Sequence[Picture], batch_size: int) -> Iterator[Finding]:
    if 0 < len(pictures) < FEWEST:
        yield finding("few", detail=f"{len(pictures)}")
    if len(pictures) > MOST:
        yield finding("many", detail=f"{len(pictures)}")
    counts: Counter[tuple[int, int]] = Counter()
    for one in pictures:
        if one.placed:
            counts[one.placed.bucket] += one.repeats
    for size, count in sorted(counts.items()):
        if count < batch_size:
            yield finding("lone_bucket", detail=f"{size[0]} × {size[1]}: {count}, and a batch has {batch_size}")


def _caption_words(pictures: Sequence[Picture]) -> Iterator[Finding]:
    captions = [one.caption for one in pictures if one.caption]
    for word, count in always_said(captions):
        yield finding("identity", detail=f"“{word}”, {count} of {len(captions)}")


def _framing(framings: Counter[str]) -> Iterator[Finding]:
    """Only where captions tell: no face or body is recognised here."""
    told = framings["face"] + framings["body"]
    if told < FEWEST // 2 or told < framings["not said"]:
        return
    if framings["face"] < FACES * told:
        yield finding("no_faces", detail=f"{framings['face']} of {told}, as the captions say")
    if framings["body"] < BODIES * told:
        yield finding("no_bodies", detail=f"{framings['body']} of {told}, as the captions say")
