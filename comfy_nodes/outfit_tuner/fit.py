"""Which checkpoint, IP-Adapter and image encoder belong together, told by shapes and never by a file's name.

A misfit is refused before anything is patched or loaded, with the files of this host that would fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from .adapters import Layout, read_layout
from .by_file import ByFile
from .encoder_size import EncoderSize, encoder_name, read_encoder_size
from .safetensors_header import ModelFileError
from .unet_size import UnetSize, unet_name

__all__ = [
    "ADAPTERS",
    "ENCODERS",
    "MisfitError",
    "Shelf",
    "adapter_misfit",
    "describe_adapter",
    "encoder_misfit",
    "fitting_adapters",
    "fitting_encoders",
    "instead_of_adapter",
    "instead_of_encoder",
    "readable",
    "require_adapter",
    "require_encoder",
    "wanted_encoder",
]

Size = TypeVar("Size", Layout, EncoderSize)

_PLAIN_ENCODERS = {1024: "CLIP ViT-H", 1280: "CLIP ViT-bigG", 768: "CLIP ViT-L"}  # by channels of the pooled embedding
_HIDDEN_ENCODERS = {1280: "CLIP ViT-H", 1664: "CLIP ViT-bigG", 1024: "CLIP ViT-L"}  # by channels of the hidden states
_PUBLISHED_ADAPTERS = {
    768: "models/ip-adapter-plus_sd15.safetensors",
    2048: "sdxl_models/ip-adapter-plus_sdxl_vit-h.safetensors",
}
_PUBLISHED_ENCODERS = {
    "CLIP ViT-H": "models/image_encoder/model.safetensors",
    "CLIP ViT-bigG": "sdxl_models/image_encoder/model.safetensors",
}
_NAMED = 4  # fitting files named in a message


class MisfitError(ModelFileError):
    """Two model files that do not belong together."""


@dataclass(frozen=True)
class Shelf:
    """The files of one of ComfyUI's model folders, by the names ComfyUI lists them under.

    `pickled` are the names of files in formats that can run code, which are never opened.
    """

    files: Mapping[str, Path]
    pickled: tuple[str, ...] = ()

    def path(self, name: str, folder: str) -> Path:
        """A file of the shelf, which is ComfyUI's `folder`.

        Raises:
            ModelFileError: it is not there, or never opened.
        """
        if name in self.files:
            return self.files[name]
        if name in self.pickled:
            raise ModelFileError(
                f"{name} is a pickled PyTorch file, which can run code when it is opened: "
                "use the .safetensors version of the model."
            )
        raise ModelFileError(f"There is no {name} in the {folder} folder: choose another.")


ADAPTERS: ByFile[Layout] = ByFile(read_layout, 256)
ENCODERS: ByFile[EncoderSize] = ByFile(read_encoder_size, 256)


def adapter_misfit(adapter: Layout, unet: UnetSize) -> str | None:
    """Why an adapter does not fit a UNet, as the end of a sentence; None where it fits."""
    if adapter.cross_dim != unet.cross_dim:
        return f"is made for {unet_name(adapter.cross_dim)}, and the checkpoint is {unet_name(unet.cross_dim)}"
    if len(adapter.widths) != len(unet.widths):
        return (
            f"is made for a UNet with {len(adapter.widths)} cross-attention layers, and the checkpoint's has "
            f"{len(unet.widths)} (it is a pruned or a changed {unet_name(unet.cross_dim)})"
        )
    if adapter.widths != unet.widths:
        return f"is made for a UNet with other layers than the checkpoint's {unet_name(unet.cross_dim)}"
    return None


def encoder_misfit(adapter: Layout, encoder: EncoderSize) -> str | None:
    """Why an adapter does not fit an image encoder, as the end of a sentence; None where it fits."""
    given = encoder.pooled_dim if adapter.kind == "plain" else encoder.hidden_dim
    if given == adapter.embed_dim:
        return None
    return f"works with {wanted_encoder(adapter)}, and this encoder is {encoder_name(encoder)}"


def wanted_encoder(adapter: Layout) -> str:
    """What people call the encoder an adapter was trained with."""
    names, what = (_PLAIN_ENCODERS, "pooled") if adapter.kind == "plain" else (_HIDDEN_ENCODERS, "hidden")
    return names.get(adapter.embed_dim, f"CLIP with {adapter.embed_dim} {what} channels")


def describe_adapter(adapter: Layout) -> str:
    """One line about an adapter, for lists."""
    tokens = "a token per patch" if adapter.tokens is None else f"{adapter.tokens} tokens"
    return f"{adapter.kind}, {tokens}, for {unet_name(adapter.cross_dim)} with {wanted_encoder(adapter)}"


def require_adapter(name: str, adapter: Layout, unet: UnetSize, shelf: Shelf) -> None:
    """Refuses an adapter that does not fit the UNet.

    Raises:
        MisfitError: with the adapters of `shelf` that fit, or where to get one.
    """
    why = adapter_misfit(adapter, unet)
    if why is not None:
        raise MisfitError(f"{name} {why}: {instead_of_adapter(unet, shelf)}.")


def require_encoder(name: str, adapter: Layout, encoder: EncoderSize, shelf: Shelf) -> None:
    """Refuses an image encoder that an adapter was not trained with.

    Raises:
        MisfitError: with the encoders of `shelf` that fit, or where to get one.
    """
    why = encoder_misfit(adapter, encoder)
    if why is not None:
        raise MisfitError(f"{name} {why}: {instead_of_encoder(adapter, shelf)}.")


def fitting_adapters(unet: UnetSize | None, shelf: Shelf) -> list[str]:
    """The adapters that fit a UNet, or all of them where it is not known; unreadable files are no adapters."""
    return _fitting(shelf, ADAPTERS, lambda layout: unet is None or adapter_misfit(layout, unet) is None)


def fitting_encoders(adapter: Layout, shelf: Shelf) -> list[str]:
    """The encoders that fit an adapter."""
    return _fitting(shelf, ENCODERS, lambda size: encoder_misfit(adapter, size) is None)


def instead_of_adapter(unet: UnetSize, shelf: Shelf) -> str:
    """What to use with a checkpoint instead."""
    published = _PUBLISHED_ADAPTERS.get(unet.cross_dim)
    if published is None:
        return f"there is no published IP-Adapter for {unet_name(unet.cross_dim)}, use another checkpoint"
    return _instead(fitting_adapters(unet, shelf), published, "ipadapter", shelf)


def instead_of_encoder(adapter: Layout, shelf: Shelf) -> str:
    """What to use with an adapter instead."""
    published = _PUBLISHED_ENCODERS.get(wanted_encoder(adapter))
    return _instead(fitting_encoders(adapter, shelf), published, "clip_vision", shelf)


def _instead(fitting: list[str], published: str | None, folder: str, shelf: Shelf) -> str:
    if fitting:
        more = f" and {len(fitting) - _NAMED} more" if len(fitting) > _NAMED else ""
        return f"use {', '.join(fitting[:_NAMED])}{more}"
    get = f", download {published} of h94/IP-Adapter into it" if published else ""
    pickled = f" (pickled files such as {shelf.pickled[0]} are never opened)" if shelf.pickled else ""
    return f"no file in the {folder} folder fits{pickled}{get}"


def _fitting(shelf: Shelf, read: Callable[[Path], Size], fits: Callable[[Size], bool]) -> list[str]:
    return [name for name, size in readable(shelf, read) if fits(size)]


def readable(shelf: Shelf, read: Callable[[Path], Size]) -> Iterable[tuple[str, Size]]:
    """The files that are what the folder is for, in the order ComfyUI lists them."""
    for name, path in shelf.files.items():
        try:
            yield name, read(path)
        except ModelFileError:
            continue
