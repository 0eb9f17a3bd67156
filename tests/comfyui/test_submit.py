"""`/vestige/submit` in a real ComfyUI: one run however often it is asked for; a result that outlives the history."""

import asyncio
import json
import uuid
from typing import Any

import pytest

from tests.comfyui.client import Comfy
from tests.comfyui.conftest import PACK_TOKEN
from tests.comfyui.graphs import Graph, Node

AUTHORISED = {"Authorization": f"Bearer {PACK_TOKEN}"}


def painting(seed: int) -> tuple[Graph, Node]:
    graph = Graph()
    checkpoint = graph.checkpoint()
    return graph, graph.picture(checkpoint[0], checkpoint[1], checkpoint[2], seed=seed)


def body(graph: Graph, **more: Any) -> dict[str, Any]:
    key = f"test-{uuid.uuid4()}"
    return {"key": key, "prompt_id": str(uuid.uuid4()), "prompt": graph.nodes} | more


async def submit(comfy: Comfy, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    async with comfy.http.post("/vestige/submit", json=asked, headers=AUTHORISED) as answer:
        return answer.status, await answer.json()


async def result(comfy: Comfy, key: str, wait: int = 60) -> dict[str, Any]:
    async with comfy.http.get(f"/vestige/results/{key}", params={"wait": wait}, headers=AUTHORISED) as answer:
        assert answer.status == 200
        return await answer.json()


async def runs(comfy: Comfy, prompt_ids: set[str]) -> list[str]:
    """Those of the prompt ids that are in the queue or the history, each as often as it is there."""
    queue = await comfy.get("/queue")
    queued = [item[1] for item in queue["queue_running"] + queue["queue_pending"]]
    return [prompt_id for prompt_id in [*queued, *await comfy.get("/history")] if prompt_id in prompt_ids]


async def test_a_picture_by_its_key_also_after_the_history_was_cleared(comfy: Comfy) -> None:
    graph, shown = painting(seed=11)
    asked = body(graph)
    answers = await asyncio.gather(*(submit(comfy, asked) for _ in range(8)))
    assert sorted(status for status, _ in answers) == [200] * 7 + [202]
    done = await result(comfy, asked["key"])
    assert done["state"] == "done", done
    [picture] = done["outputs"][shown.id]["images"]
    assert picture["filename"].endswith(".png")
    assert await runs(comfy, {asked["prompt_id"]}) == [asked["prompt_id"]]

    async with comfy.http.post("/history", json={"clear": True}) as cleared:
        assert cleared.status == 200
    status, again = await submit(comfy, asked)
    assert (status, again["outputs"]) == (200, done["outputs"])
    status, again = await submit(comfy, asked | {"prompt_id": str(uuid.uuid4())})
    assert (status, again["prompt_id"], again["outputs"]) == (200, asked["prompt_id"], done["outputs"])
    assert await runs(comfy, {asked["prompt_id"]}) == []


async def test_two_clients_with_one_key_share_a_run(comfy: Comfy) -> None:
    graph, _ = painting(seed=12)
    first = body(graph)
    second = first | {"prompt_id": str(uuid.uuid4())}
    answers = await asyncio.gather(submit(comfy, first), submit(comfy, second))
    assert sorted(status for status, _ in answers) == [200, 202]
    assert len({shown["prompt_id"] for _, shown in answers}) == 1
    assert (await result(comfy, first["key"]))["state"] == "done"
    assert len(await runs(comfy, {first["prompt_id"], second["prompt_id"]})) == 1


async def test_its_messages_come_to_the_client_that_asks_for_them(comfy: Comfy) -> None:
    graph, shown = painting(seed=13)
    asked = body(
        graph, client_id=comfy.client_id, extra_data={"extra_pnginfo": {"workflow": {"nodes": []}}}, front=True
    )
    await submit(comfy, asked)
    run = await comfy.wait(asked["prompt_id"])
    assert shown.id in run.executed
    assert (await result(comfy, asked["key"]))["outputs"][shown.id] == run.ui[shown.id]
    history = (await comfy.get(f"/history/{asked['prompt_id']}"))[asked["prompt_id"]]
    assert history["prompt"][3]["extra_pnginfo"] == {"workflow": {"nodes": []}}


@pytest.mark.parametrize("half", [False, True], ids=["all of it", "half of it"])
async def test_a_graph_of_which_anything_cannot_run_is_refused(comfy: Comfy, half: bool) -> None:
    """ComfyUI itself runs the good half and says nothing to who only looks at the status."""
    graph = Graph()
    image = graph.add("EmptyImage", width=8, height=8, batch_size=1, color=0)
    if half:
        graph.add("PreviewImage", images=image)
    bad = graph.add("LoadImage", image="no-such.png")
    graph.add("PreviewImage", images=bad)
    asked = body(graph)
    status, answer = await submit(comfy, asked)
    assert (status, answer["error"]["code"]) == (422, "graph_refused")
    assert "no-such.png" in answer["error"]["message"]
    assert answer["error"]["details"]["node_errors"][bad.id]["class_type"] == "LoadImage"
    assert await runs(comfy, {asked["prompt_id"]}) == []


@pytest.mark.parametrize(
    "nodes",
    [
        {"1": {"class_type": "NoSuchNode", "inputs": {}}},
        {"1": {"class_type": "EmptyImage", "inputs": {"width": 8}}},
        {"1": {"class_type": "PreviewImage", "inputs": {}}},
        {"1": {"class_type": "PreviewImage", "inputs": {"images": ["7", 0]}}},
        {"1": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}},
        {"1": {"class_type": "PreviewImage", "inputs": {"images": [[], 0]}}},
        {"1": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0, 0]}}},
        {"1": {"class_type": "SaveImage", "inputs": {"images": 7, "filename_prefix": ["x"]}}},
    ],
)
async def test_graphs_that_are_none(comfy: Comfy, nodes: dict[str, Any]) -> None:
    status, answer = await submit(comfy, body(Graph(nodes)))
    assert (status, answer["error"]["code"]) == (422, "graph_refused")
    assert answer["error"]["message"].endswith(".") or ":" in answer["error"]["message"]


async def test_a_node_that_raises_is_told_with_its_name(comfy: Comfy, comfyui: Any) -> None:
    graph = Graph()
    bad = comfyui.base / "input" / "not-a-picture.png"
    bad.write_bytes(b"no picture")
    try:
        node = graph.add("Vestige_LoadReference", picture=bad.name)
        graph.add("PreviewImage", images=node[1])
        asked = body(graph)
        assert (await submit(comfy, asked))[0] == 202
        failed = await result(comfy, asked["key"])
    finally:
        bad.unlink()
    assert (failed["state"], failed["error"]["code"]) == ("error", "execution_error")
    assert failed["error"]["node_type"] == "Vestige_LoadReference"
    assert "not a PNG, JPEG or WebP" in failed["error"]["message"]
    assert "Traceback" not in json.dumps(failed)


async def test_what_is_taken_out_of_the_queue_or_interrupted_says_so(comfy: Comfy) -> None:
    slow = Graph()
    checkpoint = slow.checkpoint()
    slow.picture(checkpoint[0], checkpoint[1], checkpoint[2], seed=14, steps=2000)
    first, second = body(slow), body(painting(seed=15)[0])
    await submit(comfy, first)
    await submit(comfy, second)
    assert (await result(comfy, second["key"], wait=0))["state"] == "queued"
    async with comfy.http.post("/queue", json={"delete": [second["prompt_id"]]}) as deleted:
        assert deleted.status == 200
    assert (await result(comfy, second["key"]))["error"]["code"] == "cancelled"
    for _ in range(600):
        if (await result(comfy, first["key"], wait=0))["state"] == "running":
            break
        await asyncio.sleep(0.05)
    async with comfy.http.post("/interrupt", json={"prompt_id": first["prompt_id"]}) as interrupted:
        assert interrupted.status == 200
    assert (await result(comfy, first["key"]))["error"]["code"] == "interrupted"


async def test_the_routes_need_the_token(comfy: Comfy) -> None:
    asked = body(painting(seed=16)[0])
    async with comfy.http.post("/vestige/submit", json=asked) as answer:
        assert answer.status == 401
    async with comfy.http.get("/vestige/results/anything") as answer:
        assert answer.status == 401
    assert await runs(comfy, {asked["prompt_id"]}) == []
