"""What the check of a dataset found, for people and for programs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from server.training.buckets import Placed
from server.training.dataset.words import KINDS
from server.training.findings import ORDER, Finding

VERSION = 1


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One picture of the dataset. `name` is `10_name/001.png`; what cannot be decoded has no `placed`."""

    name: str
    path: Path
    repeats: int
    caption: str
    source: str
    placed: Placed | None
    sharpness: float
    thumbnail: Image.Image | None
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """`findings` are those of the dataset as a whole; each picture has its own."""

    folder: Path
    pictures: Sequence[Picture]
    findings: Sequence[Finding]
    same: Sequence[Sequence[str]]
    angles: Sequence[Sequence[str]]
    framings: dict[str, int]

    @property
    def all(self) -> list[Finding]:
        """Everything found, the worst first."""
        found = [*self.findings, *(one for picture in self.pictures for one in picture.findings)]
        return sorted(found, key=lambda one: ORDER.index(one.severity))

    @property
    def failed(self) -> bool:
        return any(one.severity == "error" for one in self.all)

    def buckets(self) -> dict[tuple[int, int], int]:
        """How many pictures (with repeats) each bucket has, by size."""
        counts: dict[tuple[int, int], int] = {}
        for picture in self.pictures:
            if picture.placed is not None:
                counts[picture.placed.bucket] = counts.get(picture.placed.bucket, 0) + picture.repeats
        return dict(sorted(counts.items()))


def finding(kind: str, where: str = "", detail: str = "") -> Finding:
    """A finding of a kind, in its own words."""
    word = KINDS[kind]
    text = f"{word.short}{f' ({detail})' if detail else ''}. {word.do}"
    return Finding(word.severity, kind, text, where)


def as_json(report: Report) -> str:
    """The report as a document whose bytes depend on the dataset alone, so that its sha256 names what was found."""
    return json.dumps(
        {
            "version": VERSION,
            "pictures": [
                {
                    "file": one.name,
                    "repeats": one.repeats,
                    "caption": one.caption,
                    "source": one.source,
                    "size": list(one.placed.size) if one.placed else None,
                    "bucket": list(one.placed.bucket) if one.placed else None,
                    "sharpness": round(one.sharpness, 1),
                    "findings": [_row(found) for found in one.findings],
                }
                for one in report.pictures
            ],
            "findings": [_row(found) for found in report.findings],
            "same": [list(group) for group in report.same],
            "same_angle": [list(group) for group in report.angles],
            "buckets": [{"size": list(size), "seen": count} for size, count in report.buckets().items()],
            "framing": report.framings,
        },
        ensure_ascii=False,
        indent=2,
    )


def _row(found: Finding) -> dict[str, str]:
    return {"severity": found.severity, "kind": found.kind, "text": found.text}
