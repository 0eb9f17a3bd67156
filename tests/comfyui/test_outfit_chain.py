"""Outfit Chain: the picture of its parts wired by hand, and every step cached by itself."""

import shutil

import pytest

from tests.comfyui.client import Comfy, GraphRefused, Run
from tests.comfyui.graphs import Node
from tests.comfyui.host import ComfyUI
from tests.comfyui.outfits import VALUES, wardrobe


def steps(run: Run, node: Node) -> list[str]:
    """The steps of an expansion that ran, in the order they ended, without what makes their ids unique."""
    inside = [name.removeprefix(f"{node.id}.0.0.") for name in run.executed if name.startswith(f"{node.id}.")]
    ended = dict.fromkeys(reversed(inside))  # one that waits for a lazy input begins twice
    return [name.split("-")[0] for name in reversed(ended)]


async def test_it_is_its_parts_wired_by_hand(comfy: Comfy) -> None:
    whole = wardrobe()
    tuning = whole.values(freeu=True, weight=0.9)
    chain = whole.chain(tuning)
    shown = whole.graph.picture(chain[0], chain[1], whole.checkpoint[2])
    [chained] = await comfy.pictures(await comfy.run(whole.graph), shown)

    parts = wardrobe()
    lora = parts.graph.add(
        "Vestige_LoadCharacterLora", model=parts.checkpoint[0], clip=parts.checkpoint[1], character="otis",
        version="live", strength_model=VALUES["lora_model"], strength_clip=VALUES["lora_clip"], other_lineage=False,
    )  # fmt: skip
    freeu = parts.graph.add("FreeU_V2", model=lora[0], b1=1.3, b2=1.4, s1=0.9, s2=0.2)
    dressed = parts.graph.add(
        "Vestige_ApplyOutfit",
        model=freeu,
        models=parts.models,
        features=parts.features,
        tuning=parts.values(freeu=True, weight=0.9),
    )
    shown = parts.graph.picture(dressed, lora[1], parts.checkpoint[2])
    [wired] = await comfy.pictures(await comfy.run(parts.graph), shown)
    assert chained.tobytes() == wired.tobytes()


async def test_a_changed_weight_leaves_lora_and_freeu_as_they_are(comfy: Comfy) -> None:
    outfit = wardrobe()
    tuning = outfit.values(freeu=True)
    chain = outfit.chain(tuning)
    shown = outfit.graph.picture(chain[0], chain[1], outfit.checkpoint[2])
    first = await comfy.run(outfit.graph)
    assert steps(first, chain) == ["lora", "freeu", "outfit"]

    outfit.graph.set(tuning, weight=0.7)
    second = await comfy.run(outfit.graph)
    assert steps(second, chain) == ["outfit"]
    assert outfit.checkpoint.id not in second.executed

    outfit.graph.set(tuning, freeu_b1=1.1)
    assert steps(await comfy.run(outfit.graph), chain) == ["freeu", "outfit"]
    outfit.graph.set(tuning, lora_model=0.5)
    assert steps(await comfy.run(outfit.graph), chain) == ["lora", "freeu", "outfit"]

    outfit.graph.set(tuning, weight=0.4, freeu_b1=1.3, lora_model=0.8)
    before, after = await comfy.pictures(first, shown), await comfy.pictures(await comfy.run(outfit.graph), shown)
    assert before[0].tobytes() == after[0].tobytes()


async def test_without_a_character_or_freeu_there_is_the_outfit_alone(comfy: Comfy) -> None:
    outfit = wardrobe()
    chain = outfit.chain(outfit.values(), "none")
    outfit.graph.picture(chain[0], chain[1], outfit.checkpoint[2])
    assert steps(await comfy.run(outfit.graph), chain) == ["outfit"]


@pytest.mark.parametrize(
    ("change", "message"),
    [({"character": "nobody"}, "no LoRA of 'nobody'"), ({"version": "7"}, "no v7 of otis"), ({"version": "x"}, "'x'")],
)
async def test_a_character_that_is_not_there_is_refused_before_anything_runs(
    comfy: Comfy, change: dict[str, str], message: str
) -> None:
    outfit = wardrobe()
    chain = outfit.chain(outfit.values(), **change)
    outfit.graph.picture(chain[0], chain[1], outfit.checkpoint[2])
    with pytest.raises(GraphRefused, match=message):
        await comfy.run(outfit.graph)


async def test_a_mask_and_several_references_go_through(comfy: Comfy) -> None:
    outfit = wardrobe()
    second = outfit.graph.add("Vestige_LoadReference", picture="shoe.jpg")
    outfit.features = outfit.graph.add(
        "Vestige_EncodeReference", models=outfit.models, reference=second, weight=0.5, before=outfit.features
    )
    mask = outfit.graph.add("Tiny_Picture", seed=1, width=64, height=64)
    chain = outfit.chain(outfit.values(combine="average"), mask=mask[1])
    shown = outfit.graph.picture(chain[0], chain[1], outfit.checkpoint[2])
    assert await comfy.pictures(await comfy.run(outfit.graph), shown)


async def test_a_new_live_version_is_worn_without_a_restart(comfy: Comfy, comfyui: ComfyUI) -> None:
    loras = comfyui.base / "models" / "loras"
    shutil.copy(loras / "otis_v1.safetensors", loras / "ines_v1.safetensors")
    outfit = wardrobe()
    chain = outfit.chain(outfit.values(), "ines")
    outfit.graph.picture(chain[0], chain[1], outfit.checkpoint[2])
    assert steps(await comfy.run(outfit.graph), chain) == ["lora", "outfit"]
    assert steps(await comfy.run(outfit.graph), chain) == []
    shutil.copy(loras / "otis_v1.safetensors", loras / "ines_v2.safetensors")
    assert steps(await comfy.run(outfit.graph), chain) == ["lora", "outfit"]
