"""Where the faces are, by whatever finds faces on this machine; nothing is installed or downloaded for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import torch

__all__ = ["FACE_DETECTOR", "FaceDetector", "FacesError", "find_faces"]

FACE_DETECTOR = "BBOX_DETECTOR"  # the link of Impact Pack's detector providers, which other packs offer too
_CASCADE = "haarcascade_frontalface_alt2.xml"  # Lienhart and Maydt 2002; finds faces that look at the viewer
_SMALLEST = 0.04  # of the picture's shorter side; smaller finds are noise


class FacesError(RuntimeError):
    """Faces that cannot be looked for; the message says why and what would do."""


class FaceDetector(Protocol):
    """What Impact Pack's `BBOX_DETECTOR` links carry."""

    def detect_combined(self, image: torch.Tensor, threshold: float, dilation: int) -> Any:
        """A mask `[height, width]` of all finds in `image`, `[1, height, width, 3]`; None where there are none."""
        ...


def find_faces(images: torch.Tensor, detector: FaceDetector | None, threshold: float) -> torch.Tensor:
    """`[pictures, height, width]`, 1 where a face is, for `images` `[pictures, height, width, 3]`, 0 to 1.

    By `detector` where one is linked, else by OpenCV where it is installed; its classifier has no `threshold`.

    Raises:
        FacesError: there is nothing to find faces with.
    """
    if detector is None:
        classifier = _opencv_classifier()
        return torch.stack([_by_opencv(classifier, image) for image in images])
    if not hasattr(detector, "detect_combined"):
        raise FacesError("The detector is not one that gives boxes: use a detector provider such as Impact Pack's.")
    return torch.stack([_by_detector(detector, image, threshold) for image in images])


def _by_detector(detector: FaceDetector, image: torch.Tensor, threshold: float) -> torch.Tensor:
    found = detector.detect_combined(image.unsqueeze(0), threshold, 0)
    if found is None:
        return image.new_zeros(image.shape[:2])
    mask = torch.as_tensor(found).float().reshape(-1, *image.shape[:2])
    return mask.amax(0).clamp(0, 1)


def _opencv_classifier() -> Any:
    try:
        import cv2  # pyright: ignore[reportMissingImports] # other packs bring it; this one does not ask for it
    except ImportError:
        raise FacesError(
            "No face detector is here: link a detector (Impact Pack's UltralyticsDetectorProvider with a face model),"
            " connect a face mask, or install OpenCV."
        ) from None
    file = Path(getattr(getattr(cv2, "data", None), "haarcascades", "")) / _CASCADE
    if not hasattr(cv2, "CascadeClassifier") or not file.is_file():
        raise FacesError(
            "This OpenCV comes without face detection: link a detector, connect a face mask, or install"
            " opencv-contrib-python."
        )
    return cv2.CascadeClassifier(str(file))


def _by_opencv(classifier: Any, image: torch.Tensor) -> torch.Tensor:
    luma = torch.tensor([0.299, 0.587, 0.114], device=image.device)
    grey = ((image[..., :3] * luma).sum(-1).clamp(0, 1) * 255).to(torch.uint8).cpu().numpy()
    side = max(16, round(_SMALLEST * min(grey.shape)))
    mask = image.new_zeros(image.shape[:2])
    for left, top, width, height in classifier.detectMultiScale(grey, 1.1, 5, minSize=(side, side)):
        mask[top : top + height, left : left + width] = 1.0
    return mask
