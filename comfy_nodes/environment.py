"""Numbers that an operator sets in ComfyUI's environment."""

from __future__ import annotations

import logging
import os

__all__ = ["megabytes"]

_log = logging.getLogger(__name__)


def megabytes(variable: str, default: int) -> int:
    """How many bytes a variable allows, which is in megabytes; `default` megabytes where it is unset or no number."""
    text = os.environ.get(variable, "").strip()
    if text.isascii() and text.isdigit() and 0 < int(text) < 2**30:
        return int(text) << 20
    if text:
        _log.warning("%s is %r, not a number of megabytes: %d are used.", variable, text, default)
    return default << 20
