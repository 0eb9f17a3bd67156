"""What a picture is made of, in the catalog's words: no host's names, nothing that a host decides."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from server.errors import InvalidRequest
from server.render.outfit import TUNING
from server.render.templates import Value

__all__ = ["MAX_TEXT", "TEMPLATES", "LoraVersion", "PictureRequest", "TemplateName"]

TemplateName = Literal[
    "outfit_preview", "outfit_preview_ipadapter_plus", "character_portrait", "character_portrait_core"
]
TEMPLATES: Final[tuple[TemplateName, ...]] = (
    "outfit_preview",
    "outfit_preview_ipadapter_plus",
    "character_portrait",
    "character_portrait_core",
)
MAX_TEXT: Final = 8_000
"""Characters of a prompt; longer ones are no prompt, and a text encoder's time grows with them."""
MAX_NUMBER, MAX_CHOICE = 1_000, 2_000
"""Of a tuning's numbers and texts: hosts have bounds of their own, far below."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PINNED = re.compile(r"[^@\s]{1,100}@[1-9]\d{0,8}")


@dataclass(frozen=True, slots=True)
class LoraVersion:
    """One version of a character's LoRA. `sha256` of the file; None where nobody computed it yet."""

    name: str
    version: int
    sha256: str | None = None

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class PictureRequest:
    """One picture. `Fleet.complete` fills in what is None or empty; then the same request is the same picture anywhere.

    `template`: None until the fleet has said what its hosts can run. `checkpoint`, `adapter`, `encoder`: files by name.
    `lora`: the character's LoRA; None for the checkpoint alone. `reference`: sha256 of the item's picture; None for a
    portrait without an item. `preset`: `name@version`, kept for the record: its values become `tuning`. `tuning`:
    values by slot, over `server.render.outfit.TUNING`. `seed` 0 to 2⁶⁴ − 1; `width`, `height` in pixels.

    Raises:
        InvalidRequest: a value that no host could use.
    """

    checkpoint: str
    lora: LoraVersion | None = None
    preset: str | None = None
    adapter: str | None = None
    encoder: str | None = None
    reference: str | None = None
    prompt: str = ""
    negative: str = ""
    seed: int = 0
    steps: int = 28
    cfg: float = 5.0
    sampler: str = "dpmpp_2m"
    scheduler: str = "karras"
    width: int = 832
    height: int = 1216
    tuning: Mapping[str, Value] = field(default_factory=dict)
    template: TemplateName | None = None

    def __post_init__(self) -> None:
        for name in ("prompt", "negative"):
            _check_text(name, getattr(self, name))
        for name, kinds, low, high in (
            ("seed", int, 0, 2**64 - 1),
            ("steps", int, 1, 200),
            ("cfg", int | float, 0, 30),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
                raise InvalidRequest(f"{name} is {value}: it must be from {low} to {high}.", field=name)
        for name in ("width", "height"):
            value = getattr(self, name)
            if not isinstance(value, int) or value % 8 or not 64 <= value <= 4096:
                raise InvalidRequest(f"{name} is {value}: pixels from 64 to 4096, a multiple of 8.", field=name)
        if self.reference is not None and not _SHA256.fullmatch(self.reference):
            raise InvalidRequest("The reference is no sha256.", field="reference")
        if self.preset is not None and not _PINNED.fullmatch(self.preset):
            raise InvalidRequest(
                f"The preset is {self.preset!r}: write name@version with the version's number.", field="preset"
            )
        if self.template is not None and self.template not in TEMPLATES:
            raise InvalidRequest(f"There is no template {self.template!r}.", field="template")
        _check_tuning(self.tuning)


def _check_text(name: str, text: str) -> None:
    if len(text) > MAX_TEXT:
        raise InvalidRequest(f"The {name} has {len(text)} characters: {MAX_TEXT} are the most.", field=name)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(f"The {name} holds half a character: send whole ones.", field=name) from None


def _check_tuning(tuning: Mapping[str, Value]) -> None:
    for name, value in tuning.items():
        if name not in TUNING:
            raise InvalidRequest(f"There is no tuning value {name!r}: {', '.join(TUNING)} are.", field="tuning")
        wanted = TUNING[name]
        if isinstance(wanted, float):
            fits = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_NUMBER
        else:
            fits = type(value) is type(wanted) and (not isinstance(value, str) or len(value) <= MAX_CHOICE)
        if not fits:
            raise InvalidRequest(f"{name} is {repr(value)[:80]}: it must be {_kind(wanted)}.", field="tuning")


def _kind(value: Value) -> str:
    return {float: "a number", bool: "true or false"}.get(type(value), "text")
