"""What the headers of model files say, and which belong together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["NO_TORCH", "Contents", "describe", "fits"]

NO_TORCH = "What fits what was not looked at: run this with ComfyUI's own Python, which has torch and safetensors."


@dataclass(frozen=True)
class Contents:
    """What a file is, in a few words. `size` is None where that cannot be told, and `note` says why."""

    what: str
    size: Any = None
    note: str | None = None


def describe(path: Path, kind: str) -> Contents:
    """Reads the header of a file in the folder for `kind`."""
    try:
        from ..outfit_tuner.encoder_size import encoder_name, read_encoder_size
        from ..outfit_tuner.fit import describe_adapter, read_layout
        from ..outfit_tuner.safetensors_header import ModelFileError
    except ImportError:
        return Contents("", note=NO_TORCH)
    try:
        if kind == "ipadapter":
            layout = read_layout(path)
            return Contents(describe_adapter(layout), layout)
        encoder = read_encoder_size(path)
        return Contents(encoder_name(encoder), encoder)
    except ModelFileError as error:
        return Contents("", note=str(error))


def fits(adapter: Contents, encoder: Contents) -> bool:
    """Whether two files were trained with each other, by their shapes."""
    from ..outfit_tuner.fit import encoder_misfit

    return adapter.size is not None and encoder.size is not None and encoder_misfit(adapter.size, encoder.size) is None
