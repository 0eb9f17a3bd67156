"""What a node shows on itself after it ran."""

from typing import Any

import torch

from .io import ComfyNode, FolderType

class UIOutput:
    """`_UIOutput` in ComfyUI; nobody outside names it."""

    def as_dict(self) -> dict[str, Any]: ...

class SavedResult(dict[str, Any]):
    def __init__(self, filename: str, subfolder: str, type: FolderType) -> None: ...

class SavedImages(UIOutput):
    def __init__(self, results: list[SavedResult], is_animated: bool = False) -> None: ...

class ImageSaveHelper:
    @staticmethod
    def save_images(
        images: torch.Tensor,
        filename_prefix: str,
        folder_type: FolderType,
        cls: type[ComfyNode] | None,
        compress_level: int = 4,
    ) -> list[SavedResult]: ...
    @staticmethod
    def get_save_images_ui(
        images: torch.Tensor, filename_prefix: str, cls: type[ComfyNode] | None, compress_level: int = 4
    ) -> SavedImages: ...

class PreviewImage(UIOutput):
    values: list[SavedResult]
    def __init__(
        self, image: torch.Tensor, animated: bool = False, cls: type[ComfyNode] | None = None, **kwargs: Any
    ) -> None: ...

class PreviewMask(PreviewImage):
    def __init__(
        self, mask: torch.Tensor, animated: bool = False, cls: type[ComfyNode] | None = None, **kwargs: Any
    ) -> None: ...

class PreviewText(UIOutput):
    def __init__(self, value: str, **kwargs: Any) -> None: ...
