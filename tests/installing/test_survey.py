"""What is there, what fits what, what is missing: told by content."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from comfy_nodes.installing import survey as surveying
from comfy_nodes.installing.known import KNOWN
from comfy_nodes.installing.places import find_comfyui
from comfy_nodes.installing.survey import Found, Survey, survey
from tests.outfit_tuner.model_files import clip_vision, plain
from tests.outfit_tuner.model_files import write_sparse as write

ADAPTER = plain(1024, 2048, (640, 1280))
VIT_H = clip_vision(1280, 1, 1024, 8)
VIT_BIGG = clip_vision(1664, 1, 1280, 8)


def look(comfyui: Path, *, hashes: bool = True) -> Survey:
    return survey(find_comfyui(str(comfyui)), hashes=hashes)


def row(found: Survey, name: str) -> Found:
    return next(row for row in found.rows if row.name == name)


def test_an_empty_comfyui_lacks_every_known_file(comfyui: Path) -> None:
    found = look(comfyui)
    assert [(row.name, row.status) for row in found.rows] == [(file.name, "missing") for file in KNOWN]
    assert not found.ready
    assert [file.name for file in found.missing()] == [file.name for file in KNOWN[:2]]
    assert all(row.source for row in found.rows)


def test_pairs_are_told_by_their_shapes_whatever_the_files_are_called(comfyui: Path) -> None:
    write(comfyui / "models" / "ipadapter" / "dress.safetensors", ADAPTER)
    write(comfyui / "models" / "clip_vision" / "one.safetensors", VIT_H)
    write(comfyui / "models" / "clip_vision" / "two.safetensors", VIT_BIGG)
    found = look(comfyui)
    assert found.ready
    assert row(found, "dress.safetensors").fits == ("one.safetensors",)
    assert row(found, "one.safetensors").fits == ("dress.safetensors",)
    assert row(found, "two.safetensors").note == "no adapter here fits it"
    assert {row.status for row in found.rows if row.path} == {"unverified"}


def test_a_file_nobody_knows_gets_its_own_hash_and_no_other(comfyui: Path) -> None:
    path = write(comfyui / "models" / "clip_vision" / "one.safetensors", VIT_H)
    mine = row(look(comfyui), "one.safetensors")
    assert (mine.status, mine.sha256) == ("unverified", hashlib.sha256(path.read_bytes()).hexdigest())
    assert row(look(comfyui, hashes=False), "one.safetensors").sha256 is None


def test_a_known_file_is_known_under_any_name(comfyui: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(comfyui / "models" / "clip_vision" / "renamed.safetensors", VIT_H)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(surveying, "KNOWN", (KNOWN[0], replace(KNOWN[1], sha256=digest), *KNOWN[2:]))
    found = look(comfyui)
    assert row(found, "renamed.safetensors").status == "verified"
    assert KNOWN[1].name not in [row.name for row in found.rows]


def test_a_known_name_with_other_bytes_is_damaged(comfyui: Path) -> None:
    write(comfyui / "models" / "clip_vision" / KNOWN[1].name, VIT_H)
    for hashes in (True, False):  # its size is another already
        mine = row(look(comfyui, hashes=hashes), KNOWN[1].name)
        assert mine.status == "damaged"
        assert "--download" in (mine.note or "")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("old.bin", b"\x80\x02}q", "only .safetensors"),
        ("empty.safetensors", b"", "empty"),
        ("cut.safetensors", (9_000).to_bytes(8, "little") + b'{"a"', "cut off"),
        ("page.safetensors", b"<html>sign in</html>" * 10, "web page"),
        ("lora.safetensors", None, "no IP-Adapter"),
    ],
)
def test_what_cannot_be_used_says_why(comfyui: Path, name: str, content: "bytes | None", said: str) -> None:
    path = comfyui / "models" / "ipadapter" / name
    if content is None:
        write(path, {"lora_unet_x.lora_down.weight": (4, 32)})
    else:
        path.write_bytes(content)
    mine = row(look(comfyui), name)
    assert mine.status == "unusable"
    assert said in (mine.note or "")
