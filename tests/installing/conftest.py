"""A ComfyUI as far as the installer looks."""

from pathlib import Path

import pytest


@pytest.fixture
def comfyui(tmp_path: Path) -> Path:
    root = tmp_path / "ComfyUI"
    for folder in ("custom_nodes", "models/ipadapter", "models/clip_vision", "models/checkpoints"):
        (root / folder).mkdir(parents=True)
    (root / "main.py").write_text("")
    return root


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    pack = tmp_path / "somewhere" / "vestige"
    pack.mkdir(parents=True)
    return pack
