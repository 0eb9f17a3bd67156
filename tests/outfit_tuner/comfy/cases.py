"""What is compared with IPAdapter_plus. Read by pytest and by the child process; imports nothing of either."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import groupby, product

WEIGHT_TYPES = (
    "linear",
    "ease in",
    "ease out",
    "ease in-out",
    "reverse in-out",
    "weak input",
    "weak output",
    "weak middle",
    "strong middle",
    "style transfer",
    "composition",
    "strong style transfer",
    "style and composition",
    "style transfer precise",
    "composition precise",
)
SCALINGS = ("V only", "K+V", "K+V w/ C penalty", "K+mean(V) w/ C penalty")
COMBINES = ("concat", "add", "subtract", "average", "norm average")


@dataclass(frozen=True)
class Case:
    """One picture by both. `latent`: pictures, height, width. `area`: a second positive on a part of the latent."""

    family: str = "sd15"
    kind: str = "plain"
    weight_type: str = "linear"
    scaling: str = "V only"
    references: int = 1
    combine: str = "concat"
    masks: int = 0
    cfg: float = 4.0
    latent: tuple[int, int, int] = (1, 8, 8)
    layer_weights: str = ""
    weight: float = 0.7
    start_at: float = 0.0
    end_at: float = 1.0
    positives: int = 1
    area: tuple[int, int, int, int] | None = None
    weights: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        """What is not as in the standard case."""
        changed = (field.name for field in fields(self) if getattr(self, field.name) != field.default)
        return ", ".join(f"{name} {getattr(self, name)}" for name in changed) or "standard"


def grid() -> Iterator[Case]:
    """Weight types × scalings × one and three references × mask × cfg, all of them, on Stable Diffusion 1.5."""
    for weight_type, scaling, references, masks, cfg in product(WEIGHT_TYPES, SCALINGS, (1, 3), (0, 1), (1.0, 4.0)):
        yield Case(weight_type=weight_type, scaling=scaling, references=references, masks=masks, cfg=cfg)


def thinned() -> Iterator[Case]:
    """A quarter of the grid: every weight type with every scaling, each pair with every value of the other three."""
    for pair, cases in groupby(grid(), lambda case: (case.weight_type, case.scaling)):
        eight = list(cases)
        turn = (WEIGHT_TYPES.index(pair[0]) + SCALINGS.index(pair[1])) % 4
        yield from (eight[turn], eight[7 - turn])


def more() -> Iterator[Case]:
    """SDXL's layers, the other kinds of adapter, and everything else that has a meaning in both."""
    for weight_type, scaling in zip(("linear", "ease in-out", *WEIGHT_TYPES[9:]), SCALINGS * 2, strict=True):
        yield Case(family="sdxl", weight_type=weight_type, scaling=scaling, references=3, masks=1)
    yield Case(family="sdxl", cfg=1.0)
    for kind, references in product(("plus", "full"), (1, 3)):
        yield Case(kind=kind, references=references)
    yield Case(family="sdxl", kind="plus")
    for kind, combine in product(("plain", "plus"), COMBINES[1:]):
        yield Case(kind=kind, references=3, combine=combine)
    for references, combine in ((3, "concat"), (2, "average")):
        yield Case(kind="plus", references=references, combine=combine, weights=(0.5, 1.5, 1.0)[:references])
    for masks, latent in product((0, 1, 2, 5), ((3, 8, 8), (2, 8, 24))):
        yield Case(masks=masks, latent=latent, references=2)
    for latent in ((1, 17, 23), (1, 8, 40), (1, 48, 8), (1, 25, 16)):
        yield Case(masks=1, latent=latent)
    for positives, cfg in product((2, 3), (1.0, 4.0)):
        yield Case(positives=positives, cfg=cfg, latent=(2, 8, 8))
    yield Case(positives=2, area=(8, 16, 8, 0), masks=1, latent=(1, 16, 16))
    yield Case(positives=2, area=(8, 8, 8, 0), masks=1, cfg=1.0, latent=(1, 16, 16))
    for layer_weights in ("0:1.0, 3:0.5", "0:1.0,1:1.0,2:0.3,3:-0.5,4:0.8,5:2.0,6:1.0,7:0.0,10:1.0"):
        yield Case(layer_weights=layer_weights)
        for weight_type in ("ease in", "style transfer precise", "composition precise"):
            yield Case(layer_weights=layer_weights, weight_type=weight_type)
        yield Case(layer_weights=layer_weights, weight_type="composition precise", family="sdxl")
    for start_at, end_at in ((0.0, 0.5), (0.3, 1.0), (0.2, 0.8), (0.0, 0.0), (1.0, 1.0)):
        yield Case(start_at=start_at, end_at=end_at)
    for weight in (-0.5, 0.0, 3.0):
        for scaling in SCALINGS:
            yield Case(weight=weight, scaling=scaling)


CASES = tuple(dict.fromkeys((*thinned(), *more())))
ALL_CASES = tuple(dict.fromkeys((*grid(), *more())))
