"""Load Outfit Models: an IP-Adapter and the image encoder it was trained with, as one checked pair."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from comfy_api.latest import io

from ..adapters import Adapter, load_adapter
from ..by_file import ByFile, stamp
from ..fit import ADAPTERS, Shelf
from ..models_here import adapters_here, encoders_here, hashes_here
from ..pairing import AUTO, Pair, choose_pair, survey
from ..safetensors_header import ModelFileError
from ..sockets import OUTFIT_MODELS, OutfitModels
from ..unet_size import UnetSize, model_size
from ..vision import load_encoder
from .progress import reading

__all__ = ["LoadOutfitModels"]


def _sha256(path: Path) -> str:
    return hashes_here().sha256(path, reading())


_adapters: ByFile[Adapter] = ByFile(lambda path: load_adapter(path, _sha256(path)), 2)  # they lie in the files' pages
_encoders: ByFile[Any] = ByFile(load_encoder, 1)


class LoadOutfitModels(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Vestige_LoadOutfitModels",
            display_name="Load Outfit Models",
            category="Vestige/Outfit",
            description="Loads an IP-Adapter and the image encoder it was trained with, and checks both against the "
            "model by what is in the files. With auto it finds what fits.",
            inputs=[
                io.Combo.Input(
                    "adapter",
                    options=[AUTO, *adapters_here().files],
                    default=AUTO,
                    tooltip="A file of models/ipadapter. auto takes the one that fits the model: plus before plain. "
                    "Only safetensors are read.",
                ),
                io.Combo.Input(
                    "encoder",
                    options=[AUTO, *encoders_here().files],
                    default=AUTO,
                    tooltip="A file of models/clip_vision. auto takes the one the adapter was trained with.",
                ),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip="The checkpoint the outfit is for. Connect it from its loader itself, before LoRAs.",
                ),
            ],
            outputs=[
                io.Custom(OUTFIT_MODELS).Output("models", tooltip="The pair, for Encode Reference and Apply Outfit."),
                io.String.Output("fitting", tooltip="What is in both folders, and what of it fits."),
            ],
        )

    @classmethod
    def validate_inputs(cls, adapter: str | None = None, encoder: str | None = None) -> bool | str:
        for choice, folder, shelf in (
            (adapter, "ipadapter", adapters_here()),
            (encoder, "clip_vision", encoders_here()),
        ):
            if choice is not None and choice != AUTO:
                try:
                    shelf.path(choice, folder)
                except ModelFileError as error:
                    return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, adapter: str | None, encoder: str | None, **_: Any) -> str:
        return repr((_state(adapter, adapters_here()), _state(encoder, encoders_here())))

    @classmethod
    def execute(cls, adapter: str, encoder: str, model: Any = None) -> io.NodeOutput:
        unet = _unet(model)
        adapters, encoders = adapters_here(), encoders_here()
        pair = choose_pair(adapter, encoder, unet, adapters, encoders, _sha256)
        fitting = survey(unet, ADAPTERS(pair.adapter_path), adapters, encoders)
        return io.NodeOutput(_loaded(pair), f"Uses {pair.adapter} with {pair.encoder}.\n{fitting}")


def _unet(model: Any) -> UnetSize | None:
    if model is None:
        return None
    size = model_size(model.get_model_object("diffusion_model"))
    if size is None:
        raise ModelFileError("This model is no Stable Diffusion 1.5 or SDXL: there is no IP-Adapter for it here.")
    return size


def _loaded(pair: Pair) -> OutfitModels:
    encoder_sha256 = _sha256(pair.encoder_path)
    return OutfitModels(_adapters(pair.adapter_path), _encoders(pair.encoder_path), encoder_sha256)


def _state(choice: str | None, shelf: Shelf) -> list[Any]:
    """What the choice depends on: one file, or all of them. A file that went away is another state."""
    chosen = shelf.files.get(choice or AUTO)
    paths = list(shelf.files.values()) if chosen is None else [chosen]
    states: list[Any] = []
    for path in paths:
        try:
            states.append(stamp(path))
        except OSError:
            states.append(None)
    return states
