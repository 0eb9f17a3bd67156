"""What one host has: its node classes, and its files by folder with what is in them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from server.render.choices import choices
from server.render.graphs.key import Hashes
from server.render.graphs.nodes import File, Folder

__all__ = ["Offer"]

_LISTED: Final[Mapping[Folder, tuple[tuple[str, str], ...]]] = {
    "checkpoints": (("CheckpointLoaderSimple", "ckpt_name"),),
    "loras": (("LoraLoader", "lora_name"),),
    "characters": (("Vestige_OutfitChain", "character"), ("Vestige_LoadCharacterLora", "character")),
    "ipadapter": (("Vestige_LoadOutfitModels", "adapter"), ("IPAdapterModelLoader", "ipadapter_file")),
    "clip_vision": (("Vestige_LoadOutfitModels", "encoder"), ("CLIPVisionLoader", "clip_name")),
    "references": (),
}
"""Which inputs list a folder's files; the first that the host has tells."""
_NO_FILES = frozenset({"auto", "none"})


@dataclass(frozen=True)
class Offer:
    """`host`: its name in the settings. `nodes`: `/object_info` of the classes that matter. `hashes`: what its pack
    told of its files; empty where it has no pack. A character's LoRA stands there by its file. `families`: what
    checkpoints descend from, by name, where that is known. `presets`: digests of its tuning presets, by `name@version`.
    """

    host: str
    nodes: Mapping[str, Any]
    hashes: Hashes = field(default_factory=dict)
    families: Mapping[str, str] = field(default_factory=dict)
    presets: Mapping[str, str] = field(default_factory=dict)

    def listed(self, folder: Folder) -> Sequence[str]:
        """Names as the host lists them."""
        for kind, name in _LISTED[folder]:
            found = [one for one in choices(self.nodes, kind, name) if one not in _NO_FILES]
            if found:
                return found
        return []

    def name(self, file: File, wanted: str | None) -> str | None:
        """What the host calls a file; None where it has none such.

        Args:
            wanted: the sha256 its content must have. Where the host's pack tells another for the file of that name,
                one with the right content is taken, whatever its name.
        """
        if file.folder == "references":
            return f"vestige/{file.name}.png"
        if file.folder == "characters":
            return self._character(file, wanted)
        listed = self.listed(file.folder)
        named = [one for one in listed if _names(file, one)]
        if wanted is None:
            return named[0] if named else None
        for one in (*named, *listed):
            if self.hashes.get((file.folder, one)) == wanted:
                return one
        untold = [one for one in named if self.hashes.get((file.folder, one)) is None]
        return untold[0] if untold else None

    def _character(self, file: File, wanted: str | None) -> str | None:
        """The character's name, where the host lists it and its version's file, if its pack tells of it, is the one."""
        name = file.name.rpartition("@")[0]
        if name not in self.listed("characters"):
            return None
        versions = [one for one in self.listed("loras") if _names(file, one)]
        told = {self.hashes.get(("loras", one)) for one in versions}
        wrong = wanted is not None and bool(told) and None not in told and wanted not in told
        return None if wrong or not versions else name


def _names(file: File, listed: str) -> bool:
    """Whether a listed name is that file's: the name itself with either slash, or a LoRA's version by the pack's
    rule."""
    plain = listed.replace("\\", "/")
    if file.folder not in ("loras", "characters") or "@" not in file.name:
        return plain == file.name.replace("\\", "/")
    name, _, version = file.name.rpartition("@")
    return re.fullmatch(rf"(?:.+/)?{re.escape(name)}(?:_|/)v{version}\.(?:safetensors|sft)", plain) is not None
