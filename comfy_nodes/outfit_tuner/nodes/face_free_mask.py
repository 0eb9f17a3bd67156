"""Face-Free Mask: where the outfit may be seen, faces left out."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from comfy_api.latest import io, ui

from ..face_free import face_free_mask
from ..faces import FACE_DETECTOR, FacesError, find_faces

__all__ = ["FaceFreeMask"]


class FaceFreeMask(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Vestige_FaceFreeMask",
            display_name="Face-Free Mask",
            category="Vestige/Outfit",
            description="A mask for Apply Outfit that leaves the face out: from a mask of the face, or from a picture "
            "in which faces are looked for.",
            inputs=[
                io.Float.Input(
                    "grow",
                    default=0.02,
                    min=0.0,
                    max=0.5,
                    step=0.01,
                    tooltip="How far around the face the outfit stays away, as a share of the picture's shorter side.",
                ),
                io.Float.Input(
                    "feather",
                    default=0.04,
                    min=0.0,
                    max=0.5,
                    step=0.01,
                    tooltip="Over how much of the shorter side the mask then rises to full.",
                ),
                io.Float.Input(
                    "threshold",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="How sure the linked detector must be of a face. OpenCV's does not say how sure it is.",
                ),
                io.Boolean.Input(
                    "face_needed",
                    default=True,
                    tooltip="On: stop where no face is found. Off: the outfit may be seen everywhere then.",
                ),
                io.Mask.Input("face_mask", optional=True, tooltip="White where the face is, from any node."),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="A picture of the same composition, such as an earlier render, to look for faces in.",
                ),
                io.Custom(FACE_DETECTOR).Input(
                    "detector",
                    optional=True,
                    tooltip="A detector from Impact Pack or a pack like it, with a face model. Without one OpenCV "
                    "looks, where it is installed; it finds faces that look at the viewer.",
                ),
            ],
            outputs=[io.Mask.Output("mask", tooltip="White where the outfit may be seen, for Apply Outfit.")],
        )

    @classmethod
    def execute(
        cls,
        grow: float,
        feather: float,
        threshold: float,
        face_needed: bool,
        face_mask: torch.Tensor | None = None,
        image: torch.Tensor | None = None,
        detector: Any = None,
    ) -> io.NodeOutput:
        given = None if face_mask is None else face_mask.reshape(-1, *face_mask.shape[-2:]).float()
        if image is not None:
            faces = find_faces(image, detector, threshold)
            faces = faces if given is None else _both(faces, given)
        elif given is not None:
            faces = given
        else:
            raise FacesError("There is nothing to find a face in: connect a face mask, or a picture.")
        if face_needed and not bool((faces > 0).flatten(1).any(1).all()):
            raise FacesError("No face was found: lower the threshold, connect a face mask, or switch face_needed off.")
        mask = face_free_mask(faces, grow, feather)
        return io.NodeOutput(mask, ui=ui.PreviewMask(mask))


def _both(faces: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
    """Faces found, and those of a mask of any size; one of them may serve all pictures."""
    fitted = F.interpolate(given.unsqueeze(1), size=faces.shape[-2:], mode="bilinear").squeeze(1).to(faces)
    return torch.maximum(*torch.broadcast_tensors(faces, fitted))
