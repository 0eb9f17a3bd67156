"""Python packages the pack needs, apart from torch, which is ComfyUI's."""

from __future__ import annotations

from importlib.util import find_spec

__all__ = ["missing_packages"]

_MODULES = {"httpx": "httpx", "numpy": "numpy", "Pillow": "PIL", "safetensors": "safetensors"}


def missing_packages() -> list[str]:
    """Those this Python does not have."""
    return [package for package, module in _MODULES.items() if find_spec(module) is None]
