"""Outfit Sweep: what is rendered, what is not rendered again, and what is refused before anything loads."""

import json
from typing import Any

import pytest

from tests.comfyui.client import Comfy, GraphFailed, GraphInterrupted, Run
from tests.comfyui.graphs import Graph, Node
from tests.comfyui.outfits import Wardrobe, wardrobe


def steps(run: Run, node: Node) -> dict[str, int]:
    """How many of each kind of step of an expansion ran."""
    counts: dict[str, int] = {}
    for name in set(run.executed):  # one that waits for a lazy input begins twice
        if name.startswith(f"{node.id}."):
            step = name.removeprefix(f"{node.id}.0.0.").split("-")[0]
            counts[step] = counts.get(step, 0) + 1
    return counts


async def rendered(comfy: Comfy, outfit: Wardrobe, sweep: Node) -> dict[str, int]:
    return steps(await comfy.run(outfit.graph), sweep)


async def test_a_picture_for_each_pair_the_same_as_by_hand(comfy: Comfy) -> None:
    outfit = wardrobe()
    sweep = outfit.sweep(outfit.values(weight=0.5, end_at=1.0))
    images = outfit.graph.add("PreviewImage", images=sweep[0])
    sheet = outfit.graph.add("PreviewImage", images=sweep[1])
    table = outfit.graph.add("Tiny_Report", value=sweep[2])
    run = await comfy.run(outfit.graph)
    assert steps(run, sweep) == {
        "lora": 1, "positive": 1, "negative": 1, "values": 4, "outfit": 4, "sampled": 4, "picture": 4, "sheet": 1,
    }  # fmt: skip
    pictures = await comfy.pictures(run, images)
    assert [picture.size for picture in pictures] == [(64, 64)] * 4
    assert len({picture.tobytes() for picture in pictures}) == 4
    [laid_out] = await comfy.pictures(run, sheet)
    assert laid_out.width > 128
    cells = json.loads(run.report(table))["cells"]
    assert [(cell["weight"], cell["end_at"]) for cell in cells] == [(0.3, 0.5), (0.5, 0.5), (0.3, 1.0), (0.5, 1.0)]

    by_hand = wardrobe()
    chain = by_hand.chain(by_hand.values(weight=0.5, end_at=0.5))
    sampled = by_hand.graph.add(
        "KSampler", model=chain[0], seed=3, steps=2, cfg=4.0, sampler_name="euler", scheduler="normal", denoise=1.0,
        positive=by_hand.graph.add("CLIPTextEncode", clip=chain[1], text="otis in a green coat"),
        negative=by_hand.graph.add("CLIPTextEncode", clip=chain[1], text="blurred"),
        latent_image=by_hand.graph.add("EmptyLatentImage", width=64, height=64, batch_size=1),
    )  # fmt: skip
    shown = by_hand.graph.add(
        "PreviewImage", images=by_hand.graph.add("VAEDecode", samples=sampled, vae=by_hand.checkpoint[2])
    )
    [picture] = await comfy.pictures(await comfy.run(by_hand.graph), shown)
    assert picture.tobytes() == pictures[1].tobytes()


async def test_only_new_cells_are_rendered(comfy: Comfy) -> None:
    outfit = wardrobe()
    tuning = outfit.values()
    sweep = outfit.sweep(tuning)
    assert (await rendered(comfy, outfit, sweep))["sampled"] == 4
    assert await rendered(comfy, outfit, sweep) == {}

    outfit.graph.set(sweep, x_values="0.3,0.4,0.5")  # a column more
    assert await rendered(comfy, outfit, sweep) == {"values": 2, "outfit": 2, "sampled": 2, "picture": 2, "sheet": 1}
    outfit.graph.set(sweep, x_values="0.5,0.3,0.4")  # another order
    assert await rendered(comfy, outfit, sweep) == {"sheet": 1}
    outfit.graph.set(sweep, x_values="0.3:0.4:0.05,0.5")  # one value between
    assert (await rendered(comfy, outfit, sweep))["sampled"] == 2
    outfit.graph.set(sweep, x_axis="end_at", x_values="0.5,1", y_axis="weight", y_values="0.3,0.5")  # on its side
    assert await rendered(comfy, outfit, sweep) == {"sheet": 1}
    outfit.graph.set(sweep, y_values="0.5")  # fewer
    assert await rendered(comfy, outfit, sweep) == {"sheet": 1}
    outfit.graph.set(tuning, weight=0.9)  # both of its values are swept: nothing else changed
    assert await rendered(comfy, outfit, sweep) == {"sheet": 1}
    outfit.graph.set(sweep, seed=4)
    assert (await rendered(comfy, outfit, sweep)) == {"sampled": 2, "picture": 2, "sheet": 1}


async def test_what_an_interrupt_left_done_is_not_done_again(comfy: Comfy) -> None:
    outfit = wardrobe()
    sweep = outfit.sweep(outfit.values(), x_values="0.2:0.4:0.05", y_axis="none", steps=8)
    prompt_id = await comfy.submit(outfit.graph)
    await comfy.until_running(prompt_id, Node(f"{sweep.id}.0.0.picture"), count=2)
    await comfy.interrupt(prompt_id)
    with pytest.raises(GraphInterrupted) as stopped:
        await comfy.wait(prompt_id)
    done = steps(stopped.value.run, sweep)["sampled"] - 1  # the last one may have been cut off
    assert 1 <= done < 5
    again = await rendered(comfy, outfit, sweep)
    assert 1 <= again["sampled"] <= 5 - done
    assert again["sheet"] == 1


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"x_axis": "lora_model", "x_values": "0.4,0.8"}, {"lora": 2, "positive": 2, "outfit": 2, "sampled": 2}),
        ({"x_axis": "lora_clip", "x_values": "0.4,0.8"}, {"lora": 2, "positive": 2, "outfit": 2, "sampled": 2}),
        ({"x_axis": "weight_type", "x_values": "linear,style transfer"}, {"lora": 1, "outfit": 2, "sampled": 2}),
        ({"x_axis": "behaviour", "x_values": "all"}, {"lora": 1, "outfit": 2, "sampled": 2}),
        ({"x_axis": "freeu_b1", "x_values": "1.1,1.3"}, {"lora": 1, "freeu": 2, "sampled": 2}),
        ({"character": "none"}, {"positive": 1, "negative": 1, "outfit": 2, "sampled": 2}),
    ],
)
async def test_any_value_can_be_an_axis_and_shared_steps_run_once(
    comfy: Comfy, more: dict[str, Any], expected: dict[str, int]
) -> None:
    outfit = wardrobe()
    sweep = outfit.sweep(outfit.values(freeu=more.get("x_axis") == "freeu_b1"), y_axis="none", **more)
    ran = await rendered(comfy, outfit, sweep)
    assert {step: ran.get(step, 0) for step in expected} == expected
    assert ("lora" in ran) == (more.get("character") != "none")


async def test_finished_conditionings_take_the_prompts_place(comfy: Comfy) -> None:
    outfit = wardrobe()
    text = outfit.graph.add("CLIPTextEncode", clip=outfit.checkpoint[1], text="a coat")
    sweep = outfit.sweep(outfit.values(), positive_conditioning=text, negative_conditioning=text)
    ran = await rendered(comfy, outfit, sweep)
    assert "positive" not in ran
    assert ran["sampled"] == 4
    outfit.graph.set(sweep, x_axis="lora_clip")
    with pytest.raises(GraphFailed, match="positive_conditioning is read already: unplug it"):
        await comfy.run(outfit.graph)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"x_values": "0:1:0.01"}, r"101 × 2 = 202 pictures and stops at 64: widen a step .* raise most_pictures"),
        ({"x_values": "lots"}, "'lots' is no number for weight"),
        ({"x_values": ""}, "The axis weight has no values"),
        ({"y_axis": "weight"}, "Both axes are weight"),
        ({"x_axis": "freeu_s1"}, "turn FreeU on"),
        ({"x_axis": "start_at", "x_values": "0.9"}, "start_at 0.9, end_at 0.5 cannot be rendered"),
    ],
)
async def test_a_sweep_that_cannot_be_is_refused_before_a_model_loads(
    comfy: Comfy, more: dict[str, Any], message: str
) -> None:
    outfit = wardrobe()
    outfit.sweep(outfit.values(), **more)
    with pytest.raises(GraphFailed, match=message) as failed:
        await comfy.run(outfit.graph)
    ran = {outfit.graph.nodes[name]["class_type"] for name in failed.value.run.executed if name in outfit.graph.nodes}
    assert ran <= {"Vestige_TuningValues", "Vestige_OutfitSweep"}


async def test_sdxl_and_a_batch(comfy: Comfy) -> None:
    outfit = wardrobe("tiny-sdxl", "hat.safetensors")
    latent = outfit.graph.add("EmptyLatentImage", width=64, height=64, batch_size=2)
    sweep = outfit.sweep(outfit.values(), "mira", latent_image=latent, x_values="0.4", y_axis="none", steps=1)
    shown = outfit.graph.add("PreviewImage", images=sweep[0])
    run = await comfy.run(outfit.graph)
    assert len(await comfy.pictures(run, shown)) == 2


async def test_the_sheet_alone_says_what_to_use(comfy: Comfy) -> None:
    graph = Graph()
    plan = '{"title": "", "base": {}, "axes": []}'
    graph.add("PreviewImage", images=graph.add("Vestige_SweepSheet", plan=plan)[1])
    with pytest.raises(GraphFailed, match="use Outfit Sweep"):
        await comfy.run(graph)
