"""What an image encoder sees in references, computed once per picture and kept.

A picture is known by the sha256 of its bytes and by how it was fitted to a square; together with the encoder's sha256
and the preprocessing these decide the features, so a picture that was seen before is not encoded again, in this process
or a later one.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from .safetensors_header import ModelFileError
from .sockets import Reference, ReferenceFeatures

__all__ = ["Encoder", "FeaturesError", "Seen", "SeenStore", "encode", "joined", "part_of"]


class FeaturesError(ValueError):
    """References that cannot be encoded together, or that an adapter cannot read; the message says what to do."""


@dataclass(frozen=True, eq=False)
class Seen:
    """One picture as an encoder saw it, float32 on the CPU.

    `pooled`: `[dim]`, the projected image embedding. `hidden`: `[tokens, dim]`, the penultimate layer.
    """

    pooled: torch.Tensor
    hidden: torch.Tensor


class Encoder(Protocol):
    """A CLIP image encoder. `preprocessing` names all that decides what it sees, beside its file and the picture."""

    @property
    def sha256(self) -> str: ...

    @property
    def image_size(self) -> int:
        """Of the square it looks at, in pixels."""
        ...

    @property
    def preprocessing(self) -> str: ...

    def pixels(self, image: torch.Tensor) -> torch.Tensor:
        """Pixel values `[1, 3, image_size, image_size]` of a picture `[1, side, side, 3]`, 0 to 1."""
        ...

    def look(self, pixels: torch.Tensor) -> Seen:
        """What it sees in pixel values `[1, 3, image_size, image_size]`."""
        ...


class SeenStore(Protocol):
    """Where features are kept between calls, by a name that begins with the picture's own part (`part_of`)."""

    def get(self, name: str) -> Seen | None: ...

    def put(self, name: str, seen: Seen) -> None: ...


def encode(encoder: Encoder, store: SeenStore, reference: Reference, weight: float = 1.0) -> ReferenceFeatures:
    """The features of one reference.

    Raises:
        ModelFileError: the encoder gives no numbers, so its weights are damaged.
    """
    picture, name = _seen(encoder, store, reference.sha256, reference.fitting, lambda: _pixels(encoder, reference))
    size = encoder.image_size
    black, _ = _seen(encoder, store, "black", "", lambda: encoder.pixels(torch.zeros(1, size, size, 3)))
    zeros, _ = _seen(encoder, store, "zeros", "", lambda: torch.zeros(1, 3, size, size))
    return ReferenceFeatures(
        pooled=torch.stack([picture.pooled]),  # copies: what is kept stays as it is, whatever becomes of these
        hidden=torch.stack([picture.hidden]),
        blank_hidden_image=torch.stack([black.hidden]),
        blank_hidden_pixels=torch.stack([zeros.hidden]),
        weights=(float(weight),),
        key=_key([name], (float(weight),)),
    )


def joined(first: ReferenceFeatures, then: ReferenceFeatures) -> ReferenceFeatures:
    """Several references in order. Both must come from the same encoder.

    Raises:
        FeaturesError: they do not.
    """
    if not torch.equal(first.blank_hidden_image, then.blank_hidden_image):
        raise FeaturesError("These references were encoded by different image encoders: use one pair of outfit models.")
    weights = (*first.weights, *then.weights)
    return ReferenceFeatures(
        pooled=torch.cat([first.pooled, then.pooled]),
        hidden=torch.cat([first.hidden, then.hidden]),
        blank_hidden_image=first.blank_hidden_image,
        blank_hidden_pixels=first.blank_hidden_pixels,
        weights=weights,
        key=_key([first.key, then.key], weights),
    )


def part_of(picture: str) -> str:
    """What every name of this picture's features begins with, 32 hex digits: so all of them can be forgotten."""
    return hashlib.sha256(picture.encode()).hexdigest()[:32]


def _seen(
    encoder: Encoder, store: SeenStore, picture: str, fitting: str, pixels: Callable[[], torch.Tensor]
) -> tuple[Seen, str]:
    """What is kept of a picture, or what the encoder sees in it now; and the name it is kept under.

    One picture at a time: in a batch the last bits depend on the others, and a kept entry must equal a new one.
    """
    name = _name(encoder, picture, fitting)
    seen = store.get(name)
    if seen is None:
        seen = encoder.look(pixels())
        if not (_finite(seen.pooled) and _finite(seen.hidden)):
            raise ModelFileError("The image encoder gives no numbers, so its file is damaged: download it again.")
        store.put(name, seen)
    return seen, name


def _pixels(encoder: Encoder, reference: Reference) -> torch.Tensor:
    """Pixel values of the reference; outside its mask zero, which is the mean colour and tells the encoder least."""
    pixels = encoder.pixels(reference.image)
    if reference.mask is None:
        return pixels
    mask = reference.mask.unsqueeze(1).float()
    if mask.shape[-2:] != pixels.shape[-2:]:
        mask = torch.nn.functional.interpolate(mask, size=pixels.shape[-2:], mode="bicubic", antialias=True)
    return pixels * mask.to(pixels)


def _name(encoder: Encoder, picture: str, fitting: str) -> str:
    seen = hashlib.sha256("\n".join((encoder.sha256, encoder.preprocessing, fitting)).encode()).hexdigest()
    return f"{part_of(picture)}-{seen}"


def _key(parts: Sequence[str], weights: Sequence[float]) -> str:
    return hashlib.sha256("\n".join((*parts, *map(repr, weights))).encode()).hexdigest()


def _finite(tensor: torch.Tensor) -> bool:
    low, high = torch.aminmax(tensor)
    return math.isfinite(low) and math.isfinite(high)
