"""Which LoRAs a base that changes leaves behind."""

from datetime import UTC, datetime
from typing import Any

import pytest

from server.errors import InvalidRequest
from server.loras.records import LoraSummary
from server.loras.retrain import concerned
from tests.loras.lora_files import ILLUSTRIOUS, PONY

OTHER = "ab" * 32


def line(name: str, family: str | None, sha256: str | None, evidence: str = "its hash", **more: Any) -> LoraSummary:
    fields = {"version": 1, "live": True, "sha256": "0" * 64, "bytes": 1, "dim": 32, "alpha": 16.0, "steps": 1} | more
    return LoraSummary(
        name=name,
        base_family=family,
        base_sha256=sha256,
        evidence=evidence,
        added=datetime(2026, 1, 1, tzinfo=UTC),
        **fields,
    )


LINES = [
    line("ania", "illustrious", ILLUSTRIOUS),
    line("bea", "illustrious", OTHER),
    line("cleo", "pony", PONY),
    line("dora", "sdxl", None, "its shape"),
    line("eva", "sd15", None, "its shape"),
    line("fay", None, None, ""),
    line("gina", "illustrious", ILLUSTRIOUS, live=False),
    line("halina", "flux1", None, "ss_base_model_version"),
]


@pytest.mark.parametrize(
    ("base", "new", "certain", "perhaps"),
    [
        (ILLUSTRIOUS, None, ["ania"], ["dora", "eva", "fay", "halina"]),
        (ILLUSTRIOUS[:10].upper(), None, ["ania"], ["dora", "eva", "fay", "halina"]),
        ("illustrious", None, ["ania", "bea"], ["dora", "fay"]),
        ("illustrious", OTHER, ["ania"], ["dora", "fay"]),
        (" Pony ", None, ["cleo"], ["dora", "fay"]),
        ("sdxl", None, [], ["dora", "fay"]),
        ("sd15", None, [], ["eva", "fay"]),
        ("flux1", None, ["halina"], ["fay"]),
    ],
)
def test_what_was_trained_on_it(base: str, new: str | None, certain: list[str], perhaps: list[str]) -> None:
    found = concerned(LINES, base, new=new)
    assert [each.name for each in found if each.certain] == certain
    assert [each.name for each in found if not each.certain] == perhaps
    assert all(each.why.endswith(".") for each in found)


@pytest.mark.parametrize(("base", "new"), [("ilustrious", None), ("", None), ("abc", None), ("pony", "v7")])
def test_what_is_no_base(base: str, new: str | None) -> None:
    with pytest.raises(InvalidRequest):
        concerned(LINES, base, new=new)
