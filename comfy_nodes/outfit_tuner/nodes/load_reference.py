"""Load Reference: a picture of an item, whole in a square, from a file or from the reference cache."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import folder_paths
import torch
from comfy_api.latest import io, ui

from ..fitting import WAYS, Fitted, Fitting, FittingError, fit
from ..pictures import MAX_BYTES, PictureError, decode
from ..references import CacheError
from ..references.here import references_here
from ..sockets import REFERENCE, Reference

__all__ = ["LoadReference"]


class LoadReference(io.ComfyNode):
    """Shows what the encoder will see, whatever way it was made square."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Vestige_LoadReference",
            display_name="Load Reference",
            category="Vestige/Outfit",
            description="A picture of the item to wear, made square without cutting anything off. What the encoder "
            "will see is shown on the node.",
            inputs=[
                io.Combo.Input(
                    "picture",
                    options=_pictures(),  # required: the editor gives an upload button to required inputs alone
                    upload=io.UploadType.image,
                    tooltip="A PNG, JPEG or WebP in ComfyUI's input folder. Used where sha256 is empty.",
                ),
                io.String.Input(
                    "sha256",
                    optional=True,
                    default="",
                    placeholder="sha256 of a cached reference",
                    tooltip="A picture in the reference cache, by the sha256 of its bytes. The button fills it in from "
                    "an https address. Where it is empty, the picture above is used.",
                ),
                io.Combo.Input(
                    "fit",
                    options=list(WAYS),
                    optional=True,
                    default="pad",
                    tooltip="pad: the picture's own border goes on; round a cut-out, the background. letterbox: bars "
                    "of the background. crop: the largest square there is in it, where crop_x and crop_y say; the "
                    "rest is cut off.",
                ),
                io.String.Input(
                    "background",
                    optional=True,
                    default="#ffffff",
                    tooltip="Shows through transparent pixels, and is the colour of a letterbox's bars: #rrggbb, or "
                    "white, grey, black.",
                ),
                _crop("crop_x", "Where a crop is taken from: 0 left, 1 right. Used by crop alone."),
                _crop("crop_y", "Where a crop is taken from: 0 top, 1 bottom. Used by crop alone."),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="White where the item is, as large as the picture. Without one, the picture's transparency "
                    "tells. Load Image's mask is the other way round: put Invert Mask between.",
                ),
            ],
            outputs=[
                io.Custom(REFERENCE).Output("reference", tooltip="The picture with its mask, for Encode Reference."),
                io.Image.Output("square", tooltip="What the encoder will see."),
                io.Mask.Output("subject", tooltip="White where the item is; where nobody said, where the picture is."),
                io.String.Output("reference_sha256", tooltip="The sha256 of the picture's bytes."),
            ],
        )

    @classmethod
    def validate_inputs(
        cls,
        picture: str | None = None,
        sha256: str | None = "",
        fit: str | None = "pad",
        background: str | None = "white",
    ) -> bool | str:
        """Before anything is queued. What a link will bring is None here."""
        try:
            Fitting(fit or "pad", "white" if background is None else background)
            if sha256 is not None and sha256.strip():
                references_here().entry(_name(sha256))
            elif sha256 is not None and picture:
                _file(picture)
        except (FittingError, CacheError, PictureError) as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, picture: str | None = None, sha256: str | None = "", **_: object) -> str:
        """A file that was replaced under its name is another picture."""
        if not picture or (sha256 or "").strip():
            return ""
        return hashlib.sha256(_bytes(picture, "")).hexdigest()

    @classmethod
    def execute(
        cls,
        picture: str | None = None,
        sha256: str = "",
        fit: str = "pad",
        background: str = "#ffffff",
        crop_x: float = 0.5,
        crop_y: float = 0.5,
        mask: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        data = _bytes(picture, _name(sha256))
        fitted = _fitted(data, fit, background, crop_x, crop_y, mask)
        named = hashlib.sha256(data).hexdigest()
        return io.NodeOutput(
            Reference(fitted.image, fitted.mask, named, fitted.name),
            fitted.image,
            fitted.area if fitted.mask is None else fitted.mask,
            named,
            ui=ui.PreviewImage(_shown(fitted)),
        )


def _crop(name: str, tooltip: str) -> io.Float.Input:
    return io.Float.Input(name, optional=True, default=0.5, min=0.0, max=1.0, step=0.05, tooltip=tooltip)


def _pictures() -> list[str]:
    folder = Path(folder_paths.get_input_directory())
    names = [path.name for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
    return sorted(folder_paths.filter_files_content_types(names, ["image"]))


def _file(name: str) -> Path:
    """A picture in one of ComfyUI's folders, by the name its upload gave it.

    Raises:
        PictureError: it is not there, or anywhere else.
    """
    path = _plain(folder_paths.get_annotated_filepath(name))
    folders = (folder_paths.get_input_directory, folder_paths.get_output_directory, folder_paths.get_temp_directory)
    if not any(path.is_relative_to(_plain(folder())) for folder in folders) or not path.is_file():
        raise PictureError("no_file", f"There is no picture {name!r} in ComfyUI's input folder: choose or upload one.")
    return path


def _plain(path: str) -> Path:
    """Without `..`, as it is written: folders that people link into the input folder count as inside."""
    return Path(os.path.normpath(path))


def _name(sha256: str) -> str:
    """As it is written in the cache; people copy them from anywhere."""
    return sha256.strip().lower()


def _bytes(picture: str | None, sha256: str) -> bytes:
    if sha256:
        return references_here().read(sha256)
    if not picture:
        raise PictureError("no_file", "No reference is chosen: choose a picture, or fetch one with the button.")
    try:
        with _file(picture).open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise PictureError("no_file", f"The picture {picture!r} cannot be read: {error.strerror}.") from None


def _fitted(data: bytes, way: str, background: str, crop_x: float, crop_y: float, mask: torch.Tensor | None) -> Fitted:
    return fit(decode(data), Fitting(way, background, crop_x, crop_y), mask)


def _shown(fitted: Fitted) -> torch.Tensor:
    """The square, and its mask where it has one. `[1 or 2, side, side, 3]`."""
    if fitted.mask is None:
        return fitted.image
    return torch.cat([fitted.image, fitted.mask[..., None].expand_as(fitted.image)])
