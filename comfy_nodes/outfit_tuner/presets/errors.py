"""Every error of the presets: one sentence that says what is wrong and what to do.

    PresetError              invalid_preset       what was asked for cannot be done
    ├─ PresetNameError       invalid_preset_name  a name or version that cannot be one
    ├─ PresetNotFound        preset_not_found
    ├─ PresetDamaged         preset_damaged       a file that is no preset
    │  └─ PresetTooNew       preset_too_new       written by a later version of the pack
    └─ PresetNotSaved        preset_not_saved     a full disk, a read-only folder

`code` is what the pack's HTTP routes say.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = ["PresetDamaged", "PresetError", "PresetNameError", "PresetNotFound", "PresetNotSaved", "PresetTooNew"]


class PresetError(ValueError):
    code: ClassVar[str] = "invalid_preset"


class PresetNameError(PresetError):
    code = "invalid_preset_name"


class PresetNotFound(PresetError):
    code = "preset_not_found"


class PresetDamaged(PresetError):
    code = "preset_damaged"


class PresetTooNew(PresetDamaged):
    code = "preset_too_new"


class PresetNotSaved(PresetError):
    code = "preset_not_saved"
