"""Where a ComfyUI lies, and where it keeps its models."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import InstallError

__all__ = ["ComfyUI", "find_comfyui", "surrounding"]

_EXTRA = "extra_model_paths.yaml"


@dataclass(frozen=True)
class ComfyUI:
    """A ComfyUI folder. `extra` are model folders that its `extra_model_paths.yaml` adds, by kind; `note` says why
    that file was not read, where it was not."""

    root: Path
    extra: dict[str, tuple[Path, ...]]
    note: str | None = None

    @property
    def custom_nodes(self) -> Path:
        return self.root / "custom_nodes"

    def own(self, kind: str) -> Path:
        """The folder for models of a kind inside ComfyUI: where downloads go."""
        return self.root / "models" / kind

    def folders(self, kind: str) -> tuple[Path, ...]:
        """Every existing folder that holds models of a kind."""
        places = (self.own(kind), *self.extra.get(kind, ()))
        return tuple(place for place in dict.fromkeys(places) if place.is_dir())


def find_comfyui(given: str) -> ComfyUI:
    """The ComfyUI at a path a person typed: its own folder, or the portable bundle's around it.

    Raises:
        InstallError: there is none.
    """
    path = Path(given.strip().strip("\"'")).expanduser()
    for root in (path, path / "ComfyUI"):
        if _is_comfyui(root):
            return _with_extra(root.resolve())
    raise InstallError(
        f"{path} is no ComfyUI folder: name the one that holds main.py, custom_nodes and models with --comfyui PATH."
    )


def surrounding(pack: Path) -> ComfyUI | None:
    """The ComfyUI in whose `custom_nodes` the pack lies."""
    root = pack.parent.parent
    return _with_extra(root) if pack.parent.name == "custom_nodes" and _is_comfyui(root) else None


def _is_comfyui(root: Path) -> bool:
    return (root / "main.py").is_file() and (root / "custom_nodes").is_dir()


def _with_extra(root: Path) -> ComfyUI:
    file = root / _EXTRA
    if not file.is_file():
        return ComfyUI(root, {})
    try:
        yaml: Any = importlib.import_module("yaml")
    except ImportError:
        return ComfyUI(root, {}, f"{_EXTRA} was not read: run this with ComfyUI's own Python, which has PyYAML.")
    try:
        sections = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        return ComfyUI(root, _extra_folders(sections, root))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError) as error:
        return ComfyUI(root, {}, f"{_EXTRA} cannot be read ({type(error).__name__}): its folders are left out.")


def _extra_folders(sections: dict[str, Any], root: Path) -> dict[str, tuple[Path, ...]]:
    """Folders by kind. A section has an optional `base_path`; a kind may list several folders, one a line."""
    found: dict[str, tuple[Path, ...]] = {}
    for section in sections.values():
        base = root / Path(str(section.get("base_path") or ".")).expanduser()
        for kind, lines in section.items():
            if kind in ("base_path", "is_default") or not isinstance(lines, str):
                continue
            places = tuple(base / line.strip() for line in lines.splitlines() if line.strip())
            found[kind] = (*found.get(kind, ()), *places)
    return found
