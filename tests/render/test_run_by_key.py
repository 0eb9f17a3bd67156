"""Where our pack takes the token a render is found by its key: after a restart, by another worker, and never twice."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from yarl import URL

from server.errors import GraphRejected, HostOutOfMemory, HostUnavailable, RenderError
from server.render.host import ComfyHost
from server.render.run import run
from server.render.types import Frame
from tests.fakes.comfyui import PNG, FakeComfy, fake_comfy

GRAPH = {
    "1": {"class_type": "KSampler", "inputs": {}},
    "2": {"class_type": "VAEDecode", "inputs": {}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0]}},
}
KEY = "ab" * 32
ID, OTHER = "11111111-2222-4333-8444-555555555555", "11111111-2222-4333-8444-666666666666"
TOKEN = "the-token-of-the-tests"
LOOK = 0.1


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def host(session: aiohttp.ClientSession, fake: FakeComfy) -> ComfyHost:
    return ComfyHost(session, URL(fake.url), token=TOKEN, name="gpu1")


async def test_it_ends_with_its_picture_and_is_found_without_history(session: aiohttp.ClientSession) -> None:
    async with fake_comfy(token=TOKEN) as fake:
        first = await run(host(session, fake), GRAPH, prompt_id=ID, key=KEY)
        fake.restart()
        again = await run(host(session, fake), GRAPH, prompt_id=OTHER, key=KEY)
        assert (again.prompt_id, again.pictures) == (first.prompt_id, first.pictures) == (ID, first.pictures)
        assert fake.started == {ID: 1}


async def test_two_workers_wait_for_one_run(session: aiohttp.ClientSession) -> None:
    async with fake_comfy(token=TOKEN, pause=0.02) as fake:
        there = host(session, fake)
        both = await asyncio.gather(
            run(there, GRAPH, prompt_id=ID, key=KEY, look_seconds=LOOK),
            run(there, GRAPH, prompt_id=OTHER, key=KEY, look_seconds=LOOK),
        )
        assert (both[0].prompt_id, both[0].pictures) == (both[1].prompt_id, both[1].pictures)
        assert len(fake.started) == 1


async def test_a_host_that_restarts_says_so_at_once_and_may_be_asked_again(session: aiohttp.ClientSession) -> None:
    async with fake_comfy(token=TOKEN, pause=1) as fake:
        there = host(session, fake)
        running = asyncio.create_task(run(there, GRAPH, prompt_id=ID, key=KEY, look_seconds=LOOK))
        await fake.until(lambda: fake.running == ID)
        fake.restart()
        fake.running, fake.pause = None, 0.0
        with pytest.raises(HostUnavailable, match=r"gpu1 lost the render"):
            await running
        assert (await run(there, GRAPH, prompt_id=ID, key=KEY, look_seconds=LOOK)).pictures


@pytest.mark.parametrize(
    ("kind", "text", "error"),
    [
        ("torch.OutOfMemoryError", "Allocation on device", HostOutOfMemory),
        ("torch.cuda.OutOfMemoryError", "This error means you ran out of memory on your GPU.", HostOutOfMemory),
        ("RuntimeError", "CUDA error: out of memory", HostOutOfMemory),
        ("RuntimeError", "MPS backend out of memory (allocated 9 GB)", HostOutOfMemory),
        ("RuntimeError", "DefaultCPUAllocator: can't allocate memory", HostOutOfMemory),
        ("ValueError", "the reference is empty", RenderError),
    ],
)
@pytest.mark.parametrize("key", [KEY, None])
async def test_what_went_wrong_is_told_apart(
    session: aiohttp.ClientSession, kind: str, text: str, error: type[RenderError], key: str | None
) -> None:
    async with fake_comfy(token=TOKEN, fail_with=text, fail_type=kind) as fake:
        with pytest.raises(RenderError, match="gpu1 failed at KSampler") as caught:
            await run(host(session, fake), GRAPH, prompt_id=ID, key=key)
        assert type(caught.value) is error
        if key is not None:  # a redelivered job hears what it was, and a new id is a new try
            with pytest.raises(error):
                await run(host(session, fake), GRAPH, prompt_id=ID, key=key)
            assert fake.started == {ID: 1}
            fake.fail_with = None
            assert (await run(host(session, fake), GRAPH, prompt_id=OTHER, key=key)).pictures


async def test_a_prompt_id_is_one_run(session: aiohttp.ClientSession) -> None:
    async with fake_comfy(token=TOKEN) as fake:
        await run(host(session, fake), GRAPH, prompt_id=ID, key=KEY)
        with pytest.raises(GraphRejected, match="gpu1: This prompt id has had its run"):
            await run(host(session, fake), GRAPH, prompt_id=ID, key="cd" * 32)


async def test_live_previews_and_who_goes_first(session: aiohttp.ClientSession) -> None:
    frames: list[Frame] = []
    async with fake_comfy(pause=0.05) as fake:
        there = host(session, fake)
        ids = [f"11111111-2222-4333-8444-00000000000{n}" for n in range(3)]
        first = asyncio.create_task(run(there, GRAPH, prompt_id=ids[0], on_frame=frames.append))
        await fake.until(lambda: fake.running == ids[0])
        second = asyncio.create_task(run(there, GRAPH, prompt_id=ids[1]))
        await fake.until(lambda: ids[1] in fake.waiting)
        third = asyncio.create_task(run(there, GRAPH, prompt_id=ids[2], front=True))
        await asyncio.gather(first, second, third)
        assert list(fake.started) == [ids[0], ids[2], ids[1]]
    assert set(frames) == {Frame("png", PNG)}


@pytest.mark.parametrize("leave", [True, False])
async def test_a_worker_that_goes_may_leave_the_render_there(session: aiohttp.ClientSession, leave: bool) -> None:
    async with fake_comfy(pause=0.05) as fake:
        task = asyncio.create_task(run(host(session, fake), GRAPH, prompt_id=ID, leave=leave))
        await fake.until(lambda: fake.running == ID)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await fake.until(lambda: ID in fake.history)
        assert fake.history[ID]["status"]["completed"] is leave
