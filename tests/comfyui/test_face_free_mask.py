"""Face-Free Mask in a running ComfyUI: the face stays as it was, and what cannot be found is said."""

from __future__ import annotations

from typing import Any

import pytest

from tests.comfyui.client import Comfy, GraphFailed
from tests.comfyui.graphs import Graph, Node
from tests.comfyui.outfits import wardrobe

VALUES = {"grow": 0.0, "feather": 0.0, "threshold": 0.5, "face_needed": True}


def painted(graph: Graph, value: float) -> Node:
    return graph.add("SolidMask", value=value, width=64, height=64)


async def test_where_all_is_face_the_picture_is_that_without_an_outfit(comfy: Comfy) -> None:
    async def drawn(face: float | None, *, outfit: bool = True, **changed: Any) -> bytes:
        dress = wardrobe()
        model: Any = dress.checkpoint[0]
        if outfit:
            mask = {}
            if face is not None:
                face_mask = painted(dress.graph, face)
                mask = {"mask": dress.graph.add("Vestige_FaceFreeMask", face_mask=face_mask, **VALUES | changed)}
            tuning = dress.values(weight=1.0, end_at=1.0)
            model = dress.graph.add(
                "Vestige_ApplyOutfit", model=model, models=dress.models, features=dress.features, tuning=tuning, **mask
            )
        shown = dress.graph.picture(model, dress.checkpoint[1], dress.checkpoint[2])
        [picture] = await comfy.pictures(await comfy.run(dress.graph), shown)
        return picture.tobytes()

    bare, everywhere = await drawn(None, outfit=False), await drawn(None)
    assert bare != everywhere
    assert await drawn(1.0) == bare
    assert await drawn(0.0, face_needed=False) == everywhere


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((), "There is nothing to find a face in: connect a face mask, or a picture."),
        (("face_mask",), "No face was found: lower the threshold, connect a face mask, or switch face_needed off."),
    ],
)
async def test_what_cannot_be_found_is_said(comfy: Comfy, inputs: tuple[str, ...], message: str) -> None:
    graph = Graph()
    links = {name: painted(graph, 0.0) for name in inputs}
    graph.add("MaskPreview", mask=graph.add("Vestige_FaceFreeMask", **links, **VALUES))
    with pytest.raises(GraphFailed) as failed:
        await comfy.run(graph)
    assert failed.value.class_type == "Vestige_FaceFreeMask"
    assert failed.value.message == message
