"""The outfit nodes, one file each. Imported only inside ComfyUI."""

from __future__ import annotations

from comfy_api.latest import io

from .apply_outfit import ApplyOutfit
from .encode_reference import EncodeReference
from .face_free_mask import FaceFreeMask
from .load_character_lora import LoadCharacterLora
from .load_outfit_models import LoadOutfitModels
from .load_reference import LoadReference
from .outfit_chain import OutfitChain
from .outfit_sweep import OutfitSweep
from .save_tuning_preset import SaveTuningPreset
from .sweep_sheet import SweepSheet
from .tuning_preset import TuningPreset
from .tuning_values import TuningValues

__all__ = ["NODES"]

NODES: tuple[type[io.ComfyNode], ...] = (
    ApplyOutfit,
    EncodeReference,
    FaceFreeMask,
    LoadCharacterLora,
    LoadOutfitModels,
    LoadReference,
    OutfitChain,
    OutfitSweep,
    SaveTuningPreset,
    SweepSheet,
    TuningPreset,
    TuningValues,
)
