"""A render comes to its end through whatever happens on the way, and is started once."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from yarl import URL

from server.errors import GraphRejected, HostUnavailable, RenderError
from server.render.host import ComfyHost
from server.render.run import run
from server.render.types import Progress
from tests.fakes.comfyui import PNG, FakeComfy, fake_comfy

GRAPH = {
    "1": {"class_type": "KSampler", "inputs": {}},
    "2": {"class_type": "VAEDecode", "inputs": {}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0]}},
}
ID = "11111111-2222-4333-8444-555555555555"
LOOK = 0.1


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def host(session: aiohttp.ClientSession, fake: FakeComfy) -> ComfyHost:
    return ComfyHost(session, URL(fake.url))


async def test_it_ends_with_its_picture_and_tells_how_far_it_is(session: aiohttp.ClientSession) -> None:
    seen: list[Progress] = []
    async with fake_comfy() as fake:
        there = host(session, fake)
        rendered = await run(there, GRAPH, prompt_id=ID, on_progress=seen.append)
        assert [await there.fetch(picture) for picture in rendered.pictures] == [PNG]
    shares = [progress.share for progress in seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert "KSampler" in [progress.node for progress in seen]
    assert len(set(shares)) > 4


@pytest.mark.parametrize("step", [1, 3])
async def test_a_dropped_socket_loses_nothing(session: aiohttp.ClientSession, step: int) -> None:
    async with fake_comfy(drop_socket_at=step, pause=0.02) as fake:
        rendered = await run(host(session, fake), GRAPH, prompt_id=ID, look_seconds=LOOK)
        assert len(rendered.pictures) == 1
        assert fake.started == {ID: 1}


async def test_a_lost_answer_does_not_start_it_twice(session: aiohttp.ClientSession) -> None:
    async with fake_comfy(lose_answers=1) as fake:
        await run(host(session, fake), GRAPH, prompt_id=ID, look_seconds=LOOK)
        assert fake.started == {ID: 1}


async def test_one_that_the_host_has_already_is_taken_up(session: aiohttp.ClientSession) -> None:
    async with fake_comfy() as fake:
        await run(host(session, fake), GRAPH, prompt_id=ID)
        await run(host(session, fake), GRAPH, prompt_id=ID, look_seconds=LOOK)
        assert fake.started == {ID: 1}


async def test_its_place_in_the_line_is_told(session: aiohttp.ClientSession) -> None:
    seen: list[Progress] = []
    async with fake_comfy(pause=0.1) as fake:
        there = host(session, fake)
        first = asyncio.create_task(run(there, GRAPH))
        await fake.until(lambda: fake.running is not None)
        await run(there, GRAPH, on_progress=seen.append, look_seconds=LOOK)
        await first
    assert 1 in [progress.waiting for progress in seen]


async def test_a_host_that_forgot_it_is_told_of(session: aiohttp.ClientSession) -> None:
    async with fake_comfy(forget=True) as fake:
        with pytest.raises(HostUnavailable, match="lost the render"):
            await run(host(session, fake), GRAPH, look_seconds=0.05)


async def test_a_node_that_fails_is_named(session: aiohttp.ClientSession) -> None:
    async with fake_comfy(fail_with="Allocation on device\nout of memory") as fake:
        with pytest.raises(RenderError, match="failed at KSampler: Allocation on device out of memory") as caught:
            await run(host(session, fake), GRAPH, look_seconds=LOOK)
        assert caught.value.details["exception"] == "RuntimeError"


async def test_an_interruption_there_is_not_a_failure_of_a_node(session: aiohttp.ClientSession) -> None:
    async with fake_comfy(interrupt_itself=True) as fake:
        with pytest.raises(RenderError, match="interrupted"):
            await run(host(session, fake), GRAPH, look_seconds=LOOK)


@pytest.mark.parametrize("when", ["running", "waiting"])
async def test_cancelling_takes_it_off_the_host(session: aiohttp.ClientSession, when: str) -> None:
    async with fake_comfy(pause=0.1) as fake:
        there = host(session, fake)
        other = asyncio.create_task(run(there, GRAPH)) if when == "waiting" else None
        await fake.until(lambda: other is None or fake.running is not None)
        ours = asyncio.create_task(run(there, GRAPH, prompt_id=ID))
        await fake.until(lambda: ID in fake.waiting or fake.running == ID)
        ours.cancel()
        await asyncio.gather(ours, return_exceptions=True)
        if other:
            await other
            assert ID not in fake.started
        else:
            assert fake.interrupted == [ID]


async def test_a_refused_graph_is_said_in_sentences(session: aiohttp.ClientSession) -> None:
    errors = [
        {
            "type": "value_not_in_list",
            "message": "Value not in list",
            "details": "ckpt_name: 'a.safetensors' not in ['b.safetensors']",
            "extra_info": {
                "input_name": "ckpt_name",
                "input_config": [["b.safetensors"], {}],
                "received_value": "a.safetensors",
            },
        },
        {
            "type": "required_input_missing",
            "message": "Required input is missing",
            "details": "text",
            "extra_info": {"input_name": "text"},
        },
    ]
    body = {
        "error": {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation"},
        "node_errors": {"4": {"class_type": "CheckpointLoaderSimple", "errors": errors, "dependent_outputs": ["3"]}},
    }
    async with fake_comfy(reject=body) as fake:
        with pytest.raises(GraphRejected) as caught:
            await run(host(session, fake), GRAPH)
    assert caught.value.message.endswith(
        "refuses the graph. Node 4 (CheckpointLoaderSimple): ckpt_name is 'a.safetensors', which is not there. There "
        "is: b.safetensors. Node 4 (CheckpointLoaderSimple): text is missing."
    )


@pytest.mark.parametrize(
    "error",
    [
        {"type": "invalid_prompt", "message": "Cannot execute because node Vestige_ApplyOutfit does not exist."},
        {"type": "missing_node_type", "message": "No", "extra_info": {"class_type": "Vestige_ApplyOutfit"}},
    ],
)
async def test_a_node_the_host_lacks_is_named(session: aiohttp.ClientSession, error: dict[str, object]) -> None:
    async with fake_comfy(reject={"error": error, "node_errors": {}}) as fake:
        with pytest.raises(GraphRejected, match="no node Vestige_ApplyOutfit: install the pack"):
            await run(host(session, fake), GRAPH)


async def test_nothing_listens(session: aiohttp.ClientSession) -> None:
    async with fake_comfy() as fake:
        pass
    with pytest.raises(HostUnavailable, match="cannot be reached"):
        await run(host(session, fake), GRAPH)


async def test_an_upload_is_known_by_its_content(session: aiohttp.ClientSession) -> None:
    async with fake_comfy() as fake:
        there = host(session, fake)
        assert await there.upload(PNG, "png") == await there.upload(PNG, "png")
        assert list(fake.uploads.values()) == [PNG]
