"""Putting the pack into `custom_nodes` without copying it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .errors import InstallError
from .places import ComfyUI

__all__ = ["NAME", "link"]

NAME = "vestige"


def link(pack: Path, comfyui: ComfyUI) -> str:
    """Makes ComfyUI load the pack from where it is; says what was done. Doing it again changes nothing.

    Raises:
        InstallError: another thing of that name is there, or the folder cannot be written.
    """
    if pack.parent == comfyui.custom_nodes:
        return f"The pack lies in {comfyui.custom_nodes} already."
    target = comfyui.custom_nodes / NAME
    if os.path.lexists(target):
        if target.resolve() == pack:
            return f"{target} leads to {pack} already."
        raise InstallError(f"{target} exists and is not this pack: move it away, then run this again.")
    try:
        target.symlink_to(pack, target_is_directory=True)
    except OSError as error:
        if not _junction(pack, target):
            raise InstallError(f"{target} cannot be made ({error.strerror}): check who owns the folder.") from None
    return f"Linked {target} → {pack}."


def _junction(pack: Path, target: Path) -> bool:
    """Windows gives symbolic links only to some; a junction everyone may make."""
    if sys.platform != "win32":
        return False
    import _winapi

    try:
        _winapi.CreateJunction(str(pack), str(target))
    except OSError:
        return False
    return True
