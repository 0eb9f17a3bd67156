"""Presets on disk: every save a new version, nothing ever changed, and bad files named."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from comfy_nodes.outfit_tuner.presets import (
    Preset,
    PresetDamaged,
    PresetError,
    PresetNameError,
    PresetNotFound,
    PresetNotSaved,
    PresetStore,
    PresetTooNew,
    difference,
    parse_spec,
    to_document,
)
from comfy_nodes.outfit_tuner.tuning import FreeU, Pins, TuningValues

VALUES = TuningValues(weight=0.45, end_at=0.75, freeu=FreeU(b1=1.1), weight_type="style transfer")
PINS = Pins(base_family="sdxl", base="a" * 64, adapter="b" * 64, encoder=None)


@pytest.fixture
def store(tmp_path: Path) -> PresetStore:
    return PresetStore(tmp_path / "presets")


@pytest.fixture
def damage(store: PresetStore, tmp_path: Path) -> Any:
    """A saved preset whose file is then rewritten: `damage(version=2)`, `damage(values={…})`, or bytes."""

    def write(raw: bytes | None = None, **changes: Any) -> None:
        document = to_document(store.save("dress", VALUES, pins=PINS))
        document.update(changes)
        (tmp_path / "presets/dress/v1.json").write_bytes(json.dumps(document).encode() if raw is None else raw)

    return write


def test_what_is_saved_is_read_back_by_another_store(store: PresetStore, tmp_path: Path) -> None:
    saved = store.save("red-dress", VALUES, pins=PINS, notes="  Hem kept. ", parent="starter-sdxl-realistic@1")
    read = PresetStore(tmp_path / "presets").load("red-dress@1")
    assert read == saved
    assert (read.values, read.pins, read.notes, read.parent) == (
        VALUES,
        PINS,
        "Hem kept.",
        "starter-sdxl-realistic@1",
    )
    assert read.tuning.origin == "red-dress@1"


def test_saving_again_makes_the_next_version_and_leaves_the_first(store: PresetStore) -> None:
    store.save("dress", VALUES)
    second = store.save("dress", dataclasses.replace(VALUES, weight=0.5))
    assert second.origin == "dress@2"
    assert store.versions("dress") == [2, 1]
    assert store.load("dress@1").values == VALUES
    assert store.load("dress") == store.load("dress@latest") == store.load("dress@v2") == second


def test_saving_what_the_newest_version_says_already_makes_none(store: PresetStore, tmp_path: Path) -> None:
    first = store.save_changed("dress", VALUES, pins=PINS, notes="a ", parent="coat@1")
    assert store.save_changed("dress", VALUES, pins=PINS, notes="a", parent="coat@2") == first
    for number, changed in enumerate(({"notes": "b"}, {"pins": Pins()}, {}), 2):
        assert store.save_changed("dress", VALUES, **{"pins": PINS, "notes": "a", **changed}).version == number
    (tmp_path / "presets/dress/v4.json").write_text("{")
    assert store.save_changed("dress", VALUES, pins=PINS, notes="a").version == 5


def test_rollback_is_a_new_version_equal_to_the_old_one(store: PresetStore) -> None:
    first = store.save("dress", VALUES, pins=PINS, notes="good")
    store.save("dress", dataclasses.replace(VALUES, weight=0.9), parent="dress@1")
    third = store.rollback("dress@1")
    assert third.origin == "dress@3"
    assert third.parent == "dress@1"
    assert difference(first, third) == ()
    assert store.rollback("dress@2", notes="no, this one").notes == "no, this one"


def test_a_difference_names_each_value_that_changed(store: PresetStore) -> None:
    first = store.save("dress", VALUES, pins=PINS, notes="a")
    other = dataclasses.replace(VALUES, weight=0.4, freeu=None)
    second = store.save("dress", other, pins=dataclasses.replace(PINS, adapter="c" * 64), notes="b")
    assert [str(change) for change in difference(first, second)] == [
        "values.weight: 0.45 → 0.4",
        "values.freeu.b1: 1.1 → none",
        "values.freeu.b2: 1.4 → none",
        "values.freeu.s1: 0.9 → none",
        "values.freeu.s2: 0.2 → none",
        f"pins.adapter: {'b' * 64} → {'c' * 64}",
        "notes: a → b",
    ]


def test_the_list_is_by_name_then_newest_first_then_what_comes_with_the_pack(store: PresetStore) -> None:
    for name in ("coat", "dress", "coat"):
        store.save(name, VALUES)
    own = [preset.origin for preset in store.list().presets if not preset.name.startswith("starter-")]
    assert own == ["coat@2", "coat@1", "dress@1"]
    assert store.names()[:2] == ["coat", "dress"]
    assert all(name.startswith("starter-") for name in store.names()[2:])


def test_a_damaged_file_is_named_in_the_list_and_the_rest_is_there(store: PresetStore, damage: Any) -> None:
    damage(b"{")
    store.save("dress", VALUES)
    listing = store.list()
    assert [entry.file for entry in listing.damaged] == ["dress/v1.json"]
    assert "line 1" in listing.damaged[0].problem
    assert "dress@2" in [preset.origin for preset in listing.presets]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"raw": b""}, "not valid JSON"),
        ({"raw": b"\xff\xfe"}, "not text in UTF-8"),
        ({"raw": b"[1]"}, "not a JSON object"),
        ({"raw": b"[" * 30_000}, "nested too deeply|not valid JSON"),
        ({"raw": b" " * 70_000}, "longer than 65,536 bytes"),
        ({"raw": b'{"format": 1, "format": 1}'}, "a key twice"),
        ({"raw": b'{"format": NaN}'}, "NaN"),
        ({"raw": b'{"format": ' + b"9" * 6000 + b"}"}, "too long|of format"),
        ({"format": None}, "no format number"),
        ({"format": True}, "no format number"),
        ({"name": "coat"}, "says that it is coat@1"),
        ({"name": "../x"}, "cannot be a preset's name"),
        ({"version": 2}, "says that it is dress@2"),
        ({"version": "1"}, "not a number from 1"),
        ({"extra": 1}, "an entry 'extra'"),
        ({"values": None}, "no values"),
        ({"values": {"weight": 1}}, "has no"),
        ({"pins": {"base_family": None, "base": "AB", "adapter": None, "encoder": None}}, "not a sha256"),
        ({"pins": {"base_family": "a/b", "base": None, "adapter": None, "encoder": None}}, "'a/b'"),
        ({"pins": {}}, "pins has no"),
        ({"notes": 3}, "notes is not text"),
        ({"notes": "\ud800"}, "not text in UTF-8"),
        ({"parent": "dress"}, "names no version"),
        ({"parent": 7}, "7 names no version"),
        ({"created": "yesterday"}, "not a date and time"),
        ({"created": None}, "not a date and time"),
        ({"created": "2026-02-30T10:00:00+00:00"}, "not a date and time"),
        ({"created": "2026-11-27T10:00:00"}, "with an offset"),
        ({"reasons": {"colour": "red"}}, "'colour' that is no value"),
        ({"reasons": []}, "not an object of texts"),
    ],
)
def test_a_damaged_file_is_refused_with_what_is_wrong(
    store: PresetStore, damage: Any, change: dict[str, Any], message: str
) -> None:
    damage(**change)
    with pytest.raises(PresetDamaged, match=message) as caught:
        store.load("dress@1")
    assert str(caught.value).startswith("The preset dress@1 is damaged: ")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"weight": "0.4"}, "weight must be a number"),
        ({"weight": True}, "weight must be a number"),
        ({"weight": 50}, "between -5.0 and 5.0"),
        ({"end_at": 1.1}, "between 0.0 and 1.0"),
        ({"start_at": 0.9, "end_at": 0.1}, "never be worn"),
        ({"combine": "blend"}, "one of concat"),
        ({"weight_type": 3}, "weight_type is 3"),
        ({"freeu": {"b1": 1}}, "freeu has no"),
        ({"freeu": {"b1": 99, "b2": 1, "s1": 1, "s2": 1}}, "freeu.b1 is 99"),
        ({"freeu": True}, "no freeu"),
        ({"wieght": 1}, "an entry 'wieght'"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_on_load(
    store: PresetStore, damage: Any, value: dict[str, Any], message: str
) -> None:
    damage(values={**dataclasses.asdict(VALUES), **value})
    with pytest.raises(PresetDamaged, match=re.escape(message)):
        store.load("dress@1")


def test_a_later_format_is_refused_and_says_update(store: PresetStore, damage: Any) -> None:
    damage(format=2)
    with pytest.raises(PresetTooNew, match=r"of format 2 and this version of Vestige reads formats up to 1: update"):
        store.load("dress@1")
    assert "update the pack" in store.list().damaged[0].problem


def test_the_newest_being_damaged_is_said_not_hidden_behind_an_older_one(store: PresetStore, tmp_path: Path) -> None:
    store.save("dress", VALUES)
    (tmp_path / "presets/dress/v2.json").write_text("{}")
    with pytest.raises(PresetDamaged, match="dress@2"):
        store.load("dress@latest")
    assert store.save("dress", VALUES).version == 3


@pytest.mark.parametrize(
    "name",
    ["", "..", "../x", "a/b", "a\\b", "A", "a b", "é", "-a", "a-", "a" * 65, "con", "com1", "a\x00", "a.json", "a@1"],
)
def test_a_name_is_a_slug_never_a_path(store: PresetStore, tmp_path: Path, name: str) -> None:
    with pytest.raises(PresetNameError, match=r"use 1 to 64 of a–z"):
        store.save(name, VALUES)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("spec", ["", "@1", "../x@1", "dress@0", "dress@-1", "dress@x", "dress@1@2", "dress@1.json"])
def test_a_spec_is_a_name_and_a_version(store: PresetStore, spec: str) -> None:
    with pytest.raises(PresetNameError):
        store.load(spec)


def test_specs_that_mean_the_newest() -> None:
    assert [parse_spec(spec) for spec in ("a", "a@", "a@latest", " a@3 ", "a@v3")] == [
        ("a", None),
        ("a", None),
        ("a", None),
        ("a", 3),
        ("a", 3),
    ]


def test_what_is_not_there_is_said_with_what_is(store: PresetStore) -> None:
    store.save("dress", VALUES)
    with pytest.raises(PresetNotFound, match=r"no preset 'drexx': there are dress\."):
        store.load("drexx")
    with pytest.raises(PresetNotFound, match=r"no version 7: its newest is dress@1"):
        store.load("dress@7")


def test_the_packs_own_names_are_not_saved_under(store: PresetStore) -> None:
    with pytest.raises(PresetNameError, match="save as 'sdxl-anime'"):
        store.save("starter-sdxl-anime", VALUES)


def test_other_files_and_folders_in_the_folder_are_left_alone(store: PresetStore, tmp_path: Path) -> None:
    store.save("dress", VALUES)
    (tmp_path / "presets/My Backup").mkdir()
    (tmp_path / "presets/readme.txt").touch()
    (tmp_path / "presets/dress/v01.json").touch()
    (tmp_path / "presets/dress/notes.txt").touch()
    assert [name for name in store.names() if not name.startswith("starter-")] == ["dress"]
    assert store.versions("dress") == [1]


def test_notes_have_an_end_and_any_letters(store: PresetStore) -> None:
    assert store.save("dress", VALUES, notes="Сукня 👗").notes == store.load("dress").notes == "Сукня 👗"
    assert store.save("dress", VALUES, notes="half \ud83d").notes == "half ?"
    with pytest.raises(PresetError, match="9,000 characters"):
        store.save("dress", VALUES, notes="x" * 9000)


def test_a_file_in_the_folders_place_is_said(tmp_path: Path) -> None:
    (tmp_path / "presets").touch()
    with pytest.raises(PresetNotSaved, match="is a file where a folder should be"):
        PresetStore(tmp_path / "presets").save("dress", VALUES)


def test_shipped_presets_are_starting_points_with_a_reason_for_each_number(store: PresetStore) -> None:
    listing = store.list()
    assert listing.damaged == ()
    looks = {preset.name.removeprefix("starter-").partition("-")[::2] for preset in listing.presets}
    assert looks == {(family, look) for family in FAMILIES for look in ("realistic", "anime")}
    for preset in listing.presets:
        assert preset.notes.startswith("A starting point")
        assert preset.pins == Pins(base_family=preset.name.split("-")[1])
        assert set(preset.reasons) == {field.name for field in dataclasses.fields(TuningValues)}
        assert all(reason.endswith(".") for reason in preset.reasons.values())


FAMILIES = ("sd15", "sdxl", "pony", "illustrious")


def test_a_preset_is_immutable(store: PresetStore) -> None:
    preset: Preset = store.save("dress", VALUES)
    with pytest.raises(dataclasses.FrozenInstanceError):
        preset.notes = "other"  # pyright: ignore[reportAttributeAccessIssue]
