"""Makes a request complete before a host is chosen: what one host would decide for itself is decided for all."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from server.errors import InvalidRequest, RenderError
from server.render.fleet.types import Pack
from server.render.graphs.key import Hashes
from server.render.graphs.nodes import FOLDERS, Folder
from server.render.graphs.request import PictureRequest, TemplateName
from server.render.outfit import PUBLISHED, TUNING
from server.render.sweep import tuning_of

__all__ = ["checked_pins", "contents", "named_files", "template_for_fleet", "with_preset"]

_VERSIONED = re.compile(r"(?:(?P<flat>[^/]+)_v|(?P<folder>[^/]+)/v)(?P<version>[1-9]\d{0,5})\.(?:safetensors|sft)")
_SLOTS: Final[Mapping[str, Folder]] = {"adapter": "ipadapter", "encoder": "clip_vision"}
_PINNED: Final[tuple[tuple[str, str, Folder], ...]] = (
    ("base", "checkpoint", "checkpoints"),
    ("adapter", "adapter", "ipadapter"),
    ("encoder", "encoder", "clip_vision"),
)
"""A preset's pin, the field of a request, the folder."""


def template_for_fleet(request: PictureRequest, packs: Iterable[Pack]) -> TemplateName:
    """The template for all hosts: ours where any has our pack, else the well-known pack's, else ComfyUI's own nodes.

    Raises:
        RenderError: there is an item to wear, and no host has either pack.
    """
    there = set(packs)
    if request.reference is None:
        return "character_portrait" if "vestige" in there else "character_portrait_core"
    if "vestige" in there:
        return "outfit_preview"
    if "ipadapter_plus" in there:
        return "outfit_preview_ipadapter_plus"
    raise RenderError("No ComfyUI host has Vestige's nodes or IPAdapter_plus: install one of them, then restart it.")


def with_preset(request: PictureRequest, preset: Mapping[str, Any]) -> PictureRequest:
    """The preset's values as the tuning; what the request says itself goes before them."""
    values = {name: value for name, value in tuning_of(preset).items() if name in TUNING}
    return replace(request, tuning={**values, **request.tuning})


def checked_pins(
    request: PictureRequest, preset: Mapping[str, Any], hashes: Hashes, families: Mapping[str, str]
) -> None:
    """Refuses a preset that was tuned on other files than the request's. What is not known is not compared.

    Args:
        families: what checkpoints descend from, by name.

    Raises:
        InvalidRequest: they differ.
    """
    pins = preset.get("pins")
    if not isinstance(pins, Mapping):
        return
    family = families.get(request.checkpoint.replace("\\", "/"))
    if family is not None and pins.get("base_family") not in (None, family):
        raise InvalidRequest(
            f"The preset {request.preset} was tuned on {pins['base_family']} and {request.checkpoint} is {family}: "
            "choose a checkpoint of that family, or another preset.",
            field="preset",
        )
    for pin, slot, folder in _PINNED:
        wanted, name = pins.get(pin), getattr(request, slot)
        found = hashes.get((folder, name)) if name else None
        if wanted and found and wanted != found:
            raise InvalidRequest(
                f"The preset {request.preset} was tuned on another {FOLDERS[folder]} than {name}: choose that one, or "
                "another preset.",
                field="preset",
            )


def named_files(request: PictureRequest, listed: Mapping[str, Sequence[str]]) -> PictureRequest:
    """Names the IP-Adapter and the encoder where the request does not.

    Args:
        listed: the names that hosts list, by folder.

    Raises:
        InvalidRequest: several could be meant.
    """
    if request.reference is None:
        return replace(request, adapter=None, encoder=None)
    found: dict[str, str] = {}
    for slot, folder in _SLOTS.items():
        if getattr(request, slot) is None:
            found[slot] = _only(slot, folder, listed.get(folder, ()))
    return replace(request, **found)


def _only(slot: str, folder: Folder, listed: Sequence[str]) -> str:
    for published in PUBLISHED[slot]:
        if published in listed:
            return published
    if len(listed) == 1:
        return listed[0]
    there = ", ".join(listed[:8]) or "none at all"
    raise InvalidRequest(
        f"Which {FOLDERS[folder]}? Name it in the character's look. On the hosts there is: {there}.", field=slot
    )


def contents(
    told: Iterable[Hashes], settled: Mapping[str, str]
) -> tuple[dict[tuple[str, str], str | None], dict[str, str]]:
    """What each name stands for on all hosts together, and what of it is new.

    A name keeps the content it had first for as long as any host still has that; otherwise it is what most hosts have.

    Args:
        told: every host's hashes.
        settled: `folder/name` → sha256 so far.
    """
    votes: dict[tuple[str, str], list[str]] = {}
    for hashes in told:
        for (folder, name), sha256 in hashes.items():
            votes.setdefault((folder, name.replace("\\", "/")), []).extend([sha256] if sha256 else [])
    found: dict[tuple[str, str], str | None] = {}
    new: dict[str, str] = {}
    for (folder, name), hashes in votes.items():
        before = settled.get(f"{folder}/{name}")
        if before in hashes or not hashes:
            sha256 = before
        else:
            sha256 = max(sorted(set(hashes)), key=hashes.count)
            new[f"{folder}/{name}"] = sha256
        found[folder, name] = sha256
        match = _VERSIONED.search(name) if folder == "loras" else None
        if match is not None:
            spoken = f"{match['flat'] or match['folder']}@{match['version']}"
            found["characters", spoken] = found["loras", spoken] = sha256
    return found, new
