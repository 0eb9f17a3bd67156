"""Every error of the presets: one sentence that says what is wrong and what to do.

    PresetError              400 invalid_preset       what was asked for cannot be done
    ├─ PresetNameError       400 invalid_preset_name  a name or version that cannot be one
    ├─ PresetNotFound        404 preset_not_found
    ├─ PresetDamaged         422 preset_damaged       a file that is no preset
    │  └─ PresetTooNew       422 preset_too_new       written by a later version of the pack
    └─ PresetNotSaved        507 preset_not_saved     a full disk, a read-only folder

`status` and `code` are what the pack's HTTP routes answer.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = ["PresetDamaged", "PresetError", "PresetNameError", "PresetNotFound", "PresetNotSaved", "PresetTooNew"]


class PresetError(ValueError):
    status: ClassVar[int] = 400
    code: ClassVar[str] = "invalid_preset"


class PresetNameError(PresetError):
    code = "invalid_preset_name"


class PresetNotFound(PresetError):
    status, code = 404, "preset_not_found"


class PresetDamaged(PresetError):
    status, code = 422, "preset_damaged"


class PresetTooNew(PresetDamaged):
    code = "preset_too_new"


class PresetNotSaved(PresetError):
    status, code = 507, "preset_not_saved"
