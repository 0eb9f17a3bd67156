"""The tests' own ComfyUI: a whole graph on each tiny model, what is cached, and how each kind of failure comes back."""

import pytest

from tests.comfyui.client import Comfy, GraphFailed, GraphInterrupted, GraphRefused
from tests.comfyui.graphs import Graph
from tests.comfyui.host import ComfyUI


async def test_all_packs_loaded(comfyui: ComfyUI, comfy: Comfy) -> None:
    folder = str(comfyui.base / "custom_nodes")
    loaded = [line for line in comfyui.log.splitlines() if folder in line and "seconds" in line]
    assert any(line.endswith("/vestige") for line in loaded)
    assert not [line for line in loaded if "IMPORT FAILED" in line]


@pytest.mark.parametrize("name", ["tiny-sdxl", "tiny-sd15"])
async def test_a_checkpoint_makes_the_same_picture_again(comfy: Comfy, name: str) -> None:
    graph = Graph()
    checkpoint = graph.checkpoint(name)
    shown = graph.picture(checkpoint[0], checkpoint[1], checkpoint[2])
    first = await comfy.run(graph)
    [picture] = await comfy.pictures(first, shown)
    assert picture.size == (64, 64)
    assert len(set(picture.convert("L").tobytes())) > 30  # shades: not one colour all over

    graph.set(graph.find("KSampler"), seed=1)
    other = await comfy.run(graph)
    assert checkpoint.id in other.cached
    assert checkpoint.id not in other.executed
    assert (await comfy.pictures(other, shown))[0].tobytes() != picture.tobytes()

    graph.set(graph.find("KSampler"), seed=0)
    assert (await comfy.pictures(await comfy.run(graph), shown))[0].tobytes() == picture.tobytes()


async def test_a_lora_changes_model_and_text(comfy: Comfy) -> None:
    graph = Graph()
    checkpoint = graph.checkpoint()
    lora = graph.add(
        "LoraLoader", model=checkpoint[0], clip=checkpoint[1], lora_name="mira_v1.safetensors",
        strength_model=1.0, strength_clip=1.0,
    )  # fmt: skip
    model = graph.add("Tiny_Report", value=lora[0])
    texts = [graph.add("CLIPTextEncode", clip=clip, text="a coat") for clip in (checkpoint[1], lora[1])]
    plain, dressed = [graph.add("Tiny_Report", value=text) for text in texts]
    run = await comfy.run(graph)
    said = run.report(model)
    assert said["weights_patched"] == {"1": 70 * 10}  # ten matrices in each transformer block
    assert run.report(plain)[0][0]["sha256"] != run.report(dressed)[0][0]["sha256"]


@pytest.mark.parametrize(("file", "width"), [("lens-a.safetensors", 64), ("lens-b.safetensors", 96)])
async def test_an_encoder_looks_at_a_picture(comfy: Comfy, file: str, width: int) -> None:
    graph = Graph()
    seen = graph.add(
        "CLIPVisionEncode",
        clip_vision=graph.add("CLIPVisionLoader", clip_name=file),
        image=graph.add("LoadImage", image="dress.png"),
        crop="center",
    )
    report = graph.add("Tiny_Report", value=seen)
    said = (await comfy.run(graph)).report(report)
    assert said["penultimate_hidden_states"]["shape"] == [1, 257, width]


async def test_a_value_that_cannot_be_is_refused_before_it_is_queued(comfy: Comfy) -> None:
    graph = Graph()
    checkpoint = graph.checkpoint("no-such")
    graph.picture(checkpoint[0], checkpoint[1], checkpoint[2])
    with pytest.raises(GraphRefused) as refused:
        await comfy.run(graph)
    assert list(refused.value.errors) == [checkpoint.id]
    assert "no-such.safetensors" in str(refused.value)


async def test_a_node_that_raises_says_so(comfy: Comfy) -> None:
    graph = Graph()
    latent = graph.add("EmptyLatentImage", width=64, height=64, batch_size=1)
    failing = graph.add("Tiny_Fail", latent=latent, message="The seam came off.")
    graph.add("Tiny_Report", value=failing)
    with pytest.raises(GraphFailed) as failed:
        await comfy.run(graph)
    assert (failed.value.node, failed.value.message) == (failing.id, "The seam came off.")


async def test_a_graph_can_be_stopped(comfy: Comfy) -> None:
    graph = Graph()
    latent = graph.add("EmptyLatentImage", width=64, height=64, batch_size=1)
    asleep = graph.add("Tiny_Sleep", latent=latent, seconds=60.0)
    graph.add("Tiny_Report", value=asleep)
    prompt_id = await comfy.submit(graph)
    await comfy.until_running(prompt_id, asleep)
    await comfy.interrupt(prompt_id)
    with pytest.raises(GraphInterrupted):
        await comfy.wait(prompt_id)
