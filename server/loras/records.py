"""What the registry keeps of a version. Records never change once they are written."""

from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["LoraFacts", "LoraFile", "LoraRecord", "LoraSummary", "LoraVersion", "Move"]

SHA256 = r"^[0-9a-f]{64}$"
NOTES = 4_000
"""Characters of a note."""
TRAINING = 32_768
"""Characters of a training configuration; a full one of sd-scripts has about 4,000."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


@dataclass(frozen=True, slots=True)
class LoraVersion:
    """A version, as renders ask for it. `name` is the character's in the registry, `sha256` the file's."""

    name: str
    version: int
    sha256: str


class LoraFacts(_Frozen):
    """What a file's header tells; None is what it does not.

    `dim` and `alpha` are the network's; `tags` how often a caption's tag was trained on, most first. `base_family` is a
    name of `lineage.FAMILIES` or a trainer's own word, and `evidence` where that was read.
    """

    trainer: str | None = None
    network: str = "lora"
    dim: int | None = None
    alpha: float | None = None
    steps: int | None = None
    epochs: int | None = None
    images: int | None = None
    tags: tuple[tuple[str, int], ...] = ()
    title: str | None = None
    trained: datetime | None = None
    base_family: str | None = None
    base_name: str | None = None
    base_sha256: str | None = None
    evidence: str = ""
    tensors: int = 0
    dtype: str | None = None


class LoraFile(_Frozen):
    """A file in the object store. `weights_sha256` is of what follows the header: a LoRA whose header was edited keeps
    it.

    `auto_v2` and `auto_v3` are the short names that sites list LoRAs by.
    """

    sha256: str = Field(pattern=SHA256)
    weights_sha256: str = Field(pattern=SHA256)
    auto_v2: str
    auto_v3: str
    bytes: int
    facts: LoraFacts
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LoraSummary:
    """A line of the list."""

    name: str
    version: int
    live: bool
    sha256: str
    bytes: int
    base_family: str | None
    base_sha256: str | None
    evidence: str
    dim: int | None
    alpha: float | None
    steps: int | None
    added: datetime


class LoraRecord(_Frozen):
    """A version in full. `training` is the trainer's configuration as text, `dataset_report` the sha256 of what
    `vestige lora check-dataset` wrote.
    """

    name: str
    version: int
    file: LoraFile
    notes: str = ""
    training: str = ""
    dataset_report: str | None = None
    added: datetime
    added_by: str

    @property
    def short(self) -> LoraVersion:
        return LoraVersion(self.name, self.version, self.file.sha256)


class Move(_Frozen):
    """A character's live version changed: which was, if any, and which is."""

    at: datetime
    by: str
    before: int | None = Field(None, alias="from")
    to: int
