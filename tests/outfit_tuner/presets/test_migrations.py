"""Formats that came before: each step is applied once, in order."""

from typing import Any

import pytest

from comfy_nodes.outfit_tuner.presets import PresetDamaged, PresetTooNew
from comfy_nodes.outfit_tuner.presets.migrations import FORMAT, MIGRATIONS, migrate


def first(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "path": [*document.get("path", []), "1→2"]}


def second(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "path": [*document.get("path", []), "2→3"]}


@pytest.mark.parametrize(("written", "path"), [(1, ["1→2", "2→3"]), (2, ["2→3"]), (3, None)])
def test_a_document_goes_through_every_step_after_its_own(written: int, path: list[str] | None) -> None:
    migrated = migrate({"format": written}, (first, second))
    assert migrated["format"] == 3
    assert migrated.get("path") == path


def test_the_document_that_was_read_is_left_as_it_was() -> None:
    document = {"format": 1}
    migrate(document, (first,))
    assert document == {"format": 1}


def test_later_formats_and_none_are_refused() -> None:
    with pytest.raises(PresetTooNew, match=r"format 4 .* up to 3"):
        migrate({"format": 4}, (first, second))
    for wrong in (0, -1, "1", None, 1.0, False):
        with pytest.raises(PresetDamaged, match="no format number"):
            migrate({"format": wrong})


def test_todays_format_is_one_more_than_there_are_steps() -> None:
    assert len(MIGRATIONS) + 1 == FORMAT
