"""An IP-Adapter and its image encoder, chosen by a person or found by what fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .adapters import Layout
from .encoder_size import encoder_name
from .fit import (
    ADAPTERS,
    ENCODERS,
    MisfitError,
    Shelf,
    adapter_misfit,
    describe_adapter,
    encoder_misfit,
    fitting_adapters,
    fitting_encoders,
    instead_of_adapter,
    instead_of_encoder,
    require_adapter,
    require_encoder,
    wanted_encoder,
)
from .safetensors_header import ModelFileError
from .unet_size import UnetSize, unet_name

__all__ = ["AUTO", "Pair", "choose_pair", "survey"]

AUTO = "auto"
Sha256 = Callable[[Path], str]

_KINDS = ("plus", "plain", "full")  # the order in which `auto` prefers them: how much of an item each carries over
_USUAL = frozenset(
    {
        "3f5062b8400c94b7159665b21ba5c62acdcd7682262743d7f2aefedef00e6581",  # ip-adapter-plus_sdxl_vit-h
        "a1c250be40455cc61a43da1201ec3f1edaea71214865fb47f57927e06cbe4996",  # ip-adapter-plus_sd15
        "6ca9667da1ca9e0b0f75e46bb030f7e011f44f86cbfb8d5a36590fcd7507b030",  # the ViT-H published with them
        "657723e09f46a7c3957df651601029f66b1748afb12b419816330f16ed45d64d",  # the ViT-bigG published with them
    }
)
"""Files of h94/IP-Adapter: shapes cannot tell plus from plus-face, or one training of an encoder from another."""


@dataclass(frozen=True)
class Pair:
    """An adapter's and an encoder's name and file, checked against each other."""

    adapter: str
    adapter_path: Path
    encoder: str
    encoder_path: Path


def choose_pair(
    adapter: str, encoder: str, unet: UnetSize | None, adapters: Shelf, encoders: Shelf, sha256: Sha256
) -> Pair:
    """The chosen files, or the ones that fit where a choice is `AUTO`; reads headers only.

    Without `unet` an adapter cannot be chosen by itself unless there is only one. `sha256` of a file is asked for only
    where several fit equally.

    Raises:
        MisfitError: they do not belong together, none fits, or several do.
        ModelFileError: a chosen file cannot be used or is not there.
    """
    if adapter == AUTO:
        adapter = _adapter(unet, adapters, sha256)
    path = adapters.path(adapter, "ipadapter")
    layout = ADAPTERS(path)
    if unet is not None:
        require_adapter(adapter, layout, unet, adapters)
    if encoder == AUTO:
        encoder = _encoder(adapter, layout, encoders, sha256)
    encoder_path = encoders.path(encoder, "clip_vision")
    require_encoder(adapter, layout, ENCODERS(encoder_path), encoders)
    return Pair(adapter, path, encoder, encoder_path)


def survey(unet: UnetSize | None, adapter: Layout | None, adapters: Shelf, encoders: Shelf) -> str:
    """What the two folders hold and whether it fits the UNet and the adapter, one line per file."""
    lines = ["IP-Adapters:"]
    for name, path in adapters.files.items():
        try:
            layout = ADAPTERS(path)
        except ModelFileError as error:
            lines.append(_line(str(error)))
            continue
        why = adapter_misfit(layout, unet) if unet is not None else None
        lines.append(_line(f"{name} {why}" if why else f"{name}: {describe_adapter(layout)}", fits=not why))
    lines += [_line(f"{name} is a pickled file, which is never opened") for name in adapters.pickled]
    lines.append("Image encoders:")
    for name, path in encoders.files.items():
        try:
            size = ENCODERS(path)
        except ModelFileError as error:
            lines.append(_line(str(error)))
            continue
        wants = wanted_encoder(adapter) if adapter is not None and encoder_misfit(adapter, size) else None
        lines.append(_line(f"{name}: {encoder_name(size)}{f', not {wants}' if wants else ''}", fits=not wants))
    lines += [_line(f"{name} is a pickled file, which is never opened") for name in encoders.pickled]
    return "\n".join(lines)


def _line(text: str, *, fits: bool = False) -> str:
    return f"  {'✓' if fits else '✗'} {text}"


def _adapter(unet: UnetSize | None, shelf: Shelf, sha256: Sha256) -> str:
    fitting = fitting_adapters(unet, shelf)
    if not fitting:
        if unet is not None:
            raise MisfitError(f"No IP-Adapter for {unet_name(unet.cross_dim)}: {instead_of_adapter(unet, shelf)}.")
        raise MisfitError(f"There is no IP-Adapter in the ipadapter folder{_pickles(shelf)}: download one.")
    if unet is None and len(fitting) > 1:
        raise MisfitError(
            f"Which IP-Adapter fits depends on the checkpoint: connect the model, or choose {_any(fitting)}."
        )
    kinds = {name: ADAPTERS(shelf.files[name]).kind for name in fitting}
    first = min(kinds.values(), key=_KINDS.index)
    return _one([name for name, kind in kinds.items() if kind == first], "IP-Adapters", shelf, sha256)


def _encoder(adapter: str, layout: Layout, shelf: Shelf, sha256: Sha256) -> str:
    fitting = fitting_encoders(layout, shelf)
    if not fitting:
        raise MisfitError(f"{adapter} needs {wanted_encoder(layout)}: {instead_of_encoder(layout, shelf)}.")
    return _one(fitting, "image encoders", shelf, sha256)


def _one(fitting: list[str], what: str, shelf: Shelf, sha256: Sha256) -> str:
    if len(fitting) == 1:
        return fitting[0]
    usual = [name for name in fitting if sha256(shelf.files[name]) in _USUAL]
    if usual:
        return usual[0]
    raise MisfitError(f"Several {what} fit, and none is a usual one: choose {_any(fitting)}.")


def _any(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _pickles(shelf: Shelf) -> str:
    return f" (pickled files such as {shelf.pickled[0]} are never opened)" if shelf.pickled else ""
