"""What a check says: an error stops or spoils a training run, a warning is worth a look, a note is for the record."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from server.errors import VestigeError

Severity = Literal["error", "warning", "note"]
ORDER: tuple[Severity, ...] = ("error", "warning", "note")


class TrainingError(VestigeError):
    """Something that was to be checked cannot be read at all."""

    status, code = 422, "training"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found. `where` is a line of a file (`lora.toml:12`) or a picture's name; `kind` is for programs."""

    severity: Severity
    kind: str
    text: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.severity}: {self.where + ': ' if self.where else ''}{self.text}"


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """The worst first, else in the order in which they were found."""
    return sorted(findings, key=lambda one: ORDER.index(one.severity))


def failed(findings: Iterable[Finding]) -> bool:
    return any(one.severity == "error" for one in findings)
