"""A look: which models a character is rendered with, in which scene, and how strongly an item is worn.

The same models say what a client may send, what it reads, and what is stored. Bounds are those of
`workflows/api/README.md`; file names are as ComfyUI lists them, and whether a host has them shows when it renders.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from server.catalog.fields import FileName, Prose
from server.render.templates import Value

__all__ = ["Look", "LookFields", "Scene", "TuningOverrides"]

Weight = Annotated[float, Field(ge=-5, le=5, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Strength = Annotated[float, Field(ge=-10, le=10, allow_inf_nan=False)]
Factor = Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)]
Choice = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.+() -]+$")]
Pixels = Annotated[int, Field(ge=64, le=4_096, multiple_of=8)]
_SLUG = r"[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Scene(_Model):
    """The picture around the character. Sizes in pixels, multiples of 8."""

    prompt: Prose = Field(
        default="full body photo, standing, plain background, soft light",
        description="Scene and composition, never the character's name.",
    )
    negative: Prose = "blurry, low quality, cropped, deformed"
    seed: int = Field(default=0, ge=0, lt=2**64)
    steps: int = Field(default=28, ge=1, le=200, description="Sampling steps.")
    cfg: float = Field(default=5.0, ge=0, le=30, allow_inf_nan=False, description="Classifier-free guidance.")
    sampler: Choice = Field(default="dpmpp_2m", description="As KSampler lists it.")
    scheduler: Choice = Field(default="karras", description="As KSampler lists it.")
    width: Pixels = 832
    height: Pixels = 1_216


class TuningOverrides(_Model):
    """What differs from the tuning a render begins with; null is as it begins."""

    weight: Weight | None = None
    start_at: Share | None = None
    end_at: Share | None = None
    weight_type: Choice | None = None
    embeds_scaling: Literal["V only", "K+V", "K+V w/ C penalty", "K+mean(V) w/ C penalty"] | None = None
    combine: Literal["concat", "add", "subtract", "average", "norm average"] | None = None
    behaviour: Literal["ipadapter_plus", "reference"] | None = None
    layer_weights: str | None = Field(default=None, max_length=500, pattern=r"^[0-9:.,\s-]*$")
    lora_model: Strength | None = None
    lora_clip: Strength | None = None
    freeu: bool | None = None
    freeu_b1: Factor | None = None
    freeu_b2: Factor | None = None
    freeu_s1: Factor | None = None
    freeu_s2: Factor | None = None

    @field_validator("end_at")
    @classmethod
    def _after_start(cls, end: float | None, info: ValidationInfo) -> float | None:
        start = info.data.get("start_at")
        if start is not None and end is not None and start > end:
            raise PydanticCustomError("end_at", "is before start_at, so the outfit would never be worn")
        return end

    def values_by_slot(self) -> dict[str, Value]:
        """Those that are set, by slot, as renders take them."""
        return self.model_dump(exclude_none=True)


class LookFields(_Model):
    """A look. `lora` is the character's name in the LoRA registry, with `@2` pinned to a version, else the live one.

    `preset` is `name@3` and takes the place of the tuning. `adapter` and `encoder` null: whatever fits the checkpoint.
    """

    checkpoint: FileName
    lora: str | None = Field(default=None, pattern=rf"^{_SLUG}(@[1-9][0-9]{{0,8}})?$")
    preset: str | None = Field(default=None, pattern=rf"^{_SLUG}@[1-9][0-9]{{0,8}}$")
    adapter: FileName | None = None
    encoder: FileName | None = None
    scene: Scene = Scene()
    tuning: TuningOverrides = TuningOverrides()

    @field_validator("tuning")
    @classmethod
    def _one_or_the_other(cls, tuning: TuningOverrides, info: ValidationInfo) -> TuningOverrides:
        if info.data.get("preset") is not None and tuning.values_by_slot():
            raise PydanticCustomError("preset_tuning", "cannot stand beside a preset, which has numbers of its own")
        return tuning

    @property
    def lora_name(self) -> str | None:
        return None if self.lora is None else self.lora.partition("@")[0]

    @property
    def lora_version(self) -> int | None:
        """The version it is pinned to; None follows the live one."""
        _, _, version = (self.lora or "").partition("@")
        return int(version) if version else None

    def models(self) -> dict[str, Any]:
        """What of it decides about models and the cost of a picture: the same for looks that differ in words only."""
        return self.model_dump(exclude={"scene": {"prompt", "negative", "seed"}, "character": True, "etag": True})


class Look(LookFields):
    """The stored look of a character. `etag` changes with every change."""

    character: str
    etag: str
