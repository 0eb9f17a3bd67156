"""Masks that leave faces out, and where the faces come from."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
import torch

from comfy_nodes.outfit_tuner.face_free import face_free_mask
from comfy_nodes.outfit_tuner.faces import FacesError, find_faces

PICTURE = torch.zeros(2, 100, 200, 3)


def face(height: int = 100, width: int = 200) -> torch.Tensor:
    """40 to 60 down, 90 to 110 across."""
    mask = torch.zeros(1, height, width)
    mask[0, 40:60, 90:110] = 1
    return mask


def test_without_growing_it_is_the_rest_of_the_picture() -> None:
    assert torch.equal(face_free_mask(face(), 0.0, 0.0), 1 - face())


def test_the_face_grows_on_all_sides() -> None:
    mask = face_free_mask(face(), 0.1, 0.0)[0]
    assert not mask[30:70, 80:120].any()
    assert mask[29].all()
    assert mask[:, 79].all()
    assert int((mask == 0).sum()) == 40 * 40


@pytest.mark.parametrize("feather", [0.01, 0.05, 0.2])
def test_it_rises_in_a_straight_line_beyond_what_was_grown(feather: float) -> None:
    mask = face_free_mask(face(), 0.05, feather)[0]
    rise = 2 * round(feather * 100 / 2)
    assert not mask[35:65, 85:115].any()
    row = mask[50, 115 : 115 + rise + 1]
    assert bool((row.diff() >= -1e-6).all())
    assert row[-1] == pytest.approx(1.0, abs=1e-6)
    assert mask[0].min() == pytest.approx(1.0, abs=1e-6)


def test_the_edge_of_the_picture_is_no_edge_of_the_face() -> None:
    mask = torch.zeros(1, 50, 50)
    mask[0, :, 40:] = 1
    free = face_free_mask(mask, 0.0, 0.2)[0]
    assert torch.allclose(free[0], free[25], atol=1e-5)
    assert not free[:, 40:].any()


class Detector:
    """As Impact Pack's: a mask of all finds, or None."""

    def __init__(self, *finds: Any) -> None:
        self.finds = list(finds)
        self.threshold = 0.0

    def detect_combined(self, image: torch.Tensor, threshold: float, dilation: int) -> Any:
        assert image.shape == (1, 100, 200, 3)
        self.threshold = threshold
        return self.finds.pop(0)


@pytest.mark.parametrize("shape", [(100, 200), (1, 100, 200)])
@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_a_linked_detector_looks_at_each_picture(kind: Any, shape: tuple[int, ...]) -> None:
    detector = Detector(kind(face().reshape(shape).numpy()), None)
    found = find_faces(PICTURE, detector, 0.3)
    assert torch.equal(found[0], face()[0])
    assert not found[1].any()
    assert detector.threshold == 0.3


def test_a_link_that_is_no_detector_is_refused() -> None:
    with pytest.raises(FacesError, match="not one that gives boxes"):
        find_faces(PICTURE, object(), 0.5)  # pyright: ignore[reportArgumentType] # what a wrong link may carry


@pytest.mark.skipif(importlib.util.find_spec("cv2") is not None, reason="OpenCV is installed")
def test_without_any_detector_it_says_what_would_do() -> None:
    with pytest.raises(FacesError, match="No face detector is here: link a detector"):
        find_faces(PICTURE, None, 0.5)
