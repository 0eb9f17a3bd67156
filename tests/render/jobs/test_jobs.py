"""One key, one job: asking, taking, ending, cancelling, replaying, and what comes loose; over a real Valkey."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from server.errors import Conflict, NotFound, TooManyWaiting
from server.render.fleet.types import Needs
from server.render.graphs.nodes import File, Graph, Link, Node, Text
from server.render.jobs.codec import order_of, pairs
from server.render.jobs.follow import open_hub
from server.render.jobs.jobs import Jobs
from server.render.jobs.queue import NAMESPACE, Queue, make_broker
from server.render.jobs.scripts import key
from server.render.jobs.types import Job, Line, Order
from server.stores.redis import RedisPair

KEY = "ab" * 32
ORDER = Order(
    key=KEY,
    tenant="home",
    user="anna",
    tier="free",
    owner=None,
    character="mira",
    item="coat",
    graph=Graph(
        {
            "words": Node("CLIPTextEncode", {"text": Text("на снегу ☃"), "clip": Link("models", 1)}),
            "models": Node("CheckpointLoaderSimple", {"ckpt_name": File("checkpoints", "a.safetensors", "ef" * 32)}),
            "picture": Node("KSampler", {"steps": 20, "cfg": 5.0, "flag": True, "sampler_name": "euler"}),
        }
    ),
    needs=Needs(("KSampler",), (File("checkpoints", "a.safetensors"),), ("checkpoints/sha256:ab",)),
    reference="cd" * 32,
    width=64,
    height=96,
    made_with="soft@3",
    facts={"checkpoint": "x"},
)
PREVIEW = json.dumps({"key": KEY})


@pytest.fixture
async def jobs(redis_pair: RedisPair) -> AsyncIterator[Jobs]:
    queue = Queue(make_broker(redis_pair.state))
    async with open_hub(redis_pair.state) as hub:
        yield Jobs(redis_pair.busy, queue, hub, waiting_most=3)
    queue.close()


def order(number: int = 0, user: str | None = "anna", **more: Any) -> Order:
    return replace(ORDER, key=f"{number:064x}", user=user, **more)


async def made(jobs: Jobs, number: int = 0, user: str | None = "anna", line: Line = "user") -> Job:
    job = (await jobs.ask(order(number, user), line=line)).job
    assert job is not None
    return job


async def lease(jobs: Jobs, id: str, *, worker: str = "w", ms: int = 60_000, prompt: str = "p1") -> dict[str, str]:
    found = await jobs.scripts.run("lease", id, worker, ms, "gpu1", "{}", prompt)
    return pairs(found) if found else {}


async def heads(jobs: Jobs) -> list[str]:
    return (await jobs.scripts.run("heads", 64, 0))[::6]


async def test_ten_ask_and_one_renders(jobs: Jobs, redis_pair: RedisPair) -> None:
    asked = await asyncio.gather(*(jobs.ask(order(1, f"user-{n}"), line="user") for n in range(10)))
    assert sorted(one.outcome for one in asked) == ["joined"] * 9 + ["made"]
    assert len({one.job.id for one in asked if one.job}) == 1
    assert await redis_pair.state.llen(f"{NAMESPACE}:user") == 1


async def test_what_is_asked_is_what_the_worker_gets(jobs: Jobs) -> None:
    job = await made(jobs)
    assert order_of(await lease(jobs, job.id)) == order()


async def test_a_person_comes_before_all_that_is_made_ahead(jobs: Jobs) -> None:
    ahead = [await made(jobs, n, None, "prerender") for n in range(3)]
    waits = await made(jobs, 7)
    assert await heads(jobs) == [waits.id, *(job.id for job in ahead)]
    assert (await jobs.get(ahead[1].id)).position == 2

    raised = await jobs.ask(order(2), line="user")
    assert raised.outcome == "raised"
    assert raised.job is not None and (raised.job.line, raised.job.user) == ("user", "anna")
    assert await heads(jobs) == [waits.id, ahead[2].id, ahead[0].id, ahead[1].id]


async def test_one_person_waits_for_so_many_at_once(jobs: Jobs) -> None:
    for number in range(3):
        await made(jobs, number)
    with pytest.raises(TooManyWaiting):
        await made(jobs, 3)
    assert (await jobs.ask(order(0), line="user")).outcome == "joined"
    ahead = await made(jobs, 8, None, "prerender")
    with pytest.raises(TooManyWaiting):  # raised, it would stand before everybody's
        await jobs.ask(order(8), line="user")
    assert (await jobs.get(ahead.id)).line == "prerender"
    await jobs.cancel(ahead.id, None)
    await made(jobs, 3, "ben")
    await jobs.cancel((await jobs.listing("waiting"))[-1].id, "anna")
    await made(jobs, 4)


async def test_who_is_erased_is_no_longer_named_by_what_others_wait_for(jobs: Jobs) -> None:
    shared, alone = await made(jobs, 1), await made(jobs, 2)
    assert (await jobs.ask(order(1, "ben"), line="user")).outcome == "joined"
    await jobs.erase("home", "anna")
    assert [((one := await jobs.get(job.id)).state, one.user) for job in (shared, alone)] == [
        ("waiting", None),
        ("cancelled", None),
    ]
    await made(jobs, 3)  # nothing of theirs counts any more


async def test_a_job_is_leased_once_and_only_its_holder_ends_it(jobs: Jobs) -> None:
    job = await made(jobs)
    leases = await asyncio.gather(*(lease(jobs, job.id, prompt=f"p{n}") for n in range(8)))
    (held,) = [one for one in leases if one]
    assert (held["fence"], held["host"]) == ("1", "gpu1")
    assert await jobs.scripts.run("done", job.id, "0", PREVIEW, "", "") == 0
    assert await jobs.scripts.run("done", job.id, held["fence"], PREVIEW, "2.5", "t") == 1
    assert await jobs.scripts.run("done", job.id, held["fence"], PREVIEW, "2.5", "t") == 0
    ended = await jobs.get(job.id)
    assert (ended.state, ended.share, ended.prompt_id) == ("done", 1.0, held["prompt_id"])
    assert (await jobs.ask(order(0), line="user")).outcome == "ready"


async def test_a_worker_that_fell_silent_loses_the_job_and_the_next_finds_its_prompt(jobs: Jobs) -> None:
    job = await made(jobs)
    silent = await lease(jobs, job.id, ms=0, prompt="first")
    assert await jobs.scripts.run("sweep", "", 0, 100, "") == [1, 0, 1]
    next_one = await lease(jobs, job.id, prompt="second")
    assert (next_one["prompt_id"], next_one["fence"]) == ("first", "2")
    assert await jobs.scripts.run("beat", job.id, silent["fence"], 1000, "0.5", "1") == "lost"
    assert await jobs.scripts.run("fail", job.id, silent["fence"], "failed", "") == 0
    assert await jobs.scripts.run("beat", job.id, next_one["fence"], 1000, "0.5", "1") == "ok"
    assert (await jobs.get(job.id)).share == 0.5


async def test_only_the_last_one_who_waits_cancels(jobs: Jobs) -> None:
    job = await made(jobs)
    await jobs.ask(order(0, "ben"), line="user")
    assert (await jobs.cancel(job.id, "anna")).state == "waiting"
    assert (await jobs.cancel(job.id, "anna")).state == "waiting"
    assert (await jobs.cancel(job.id, "ben")).state == "cancelled"
    assert (await jobs.ask(order(0), line="user")).outcome == "made"


async def test_a_running_job_is_told_and_one_who_asks_again_in_time_keeps_it(jobs: Jobs) -> None:
    job = await made(jobs)
    held = await lease(jobs, job.id)
    await jobs.cancel(job.id, "anna")
    assert await jobs.scripts.run("beat", job.id, held["fence"], 1000, "", "") == "cancel"
    assert (await jobs.ask(order(0, "ben"), line="user")).outcome == "joined"
    assert await jobs.scripts.run("fail", job.id, held["fence"], "cancelled", "") == 0
    again = await jobs.get(job.id)
    assert (again.state, again.prompt_id) == ("waiting", None)


async def test_what_failed_is_tried_later_and_at_last_lies_where_one_can_replay_it(jobs: Jobs) -> None:
    job = await made(jobs)
    held = await lease(jobs, job.id)
    error = json.dumps({"code": "render_error", "message": "It broke."})
    assert await jobs.scripts.run("back", job.id, held["fence"], 50, "drop", "attempts", error, "") == 1
    waits = await jobs.get(job.id)
    assert (waits.state, waits.waiting, waits.attempts, waits.prompt_id) == ("waiting", "retry", 1, None)
    assert waits.error is not None and waits.error.message == "It broke."
    assert await heads(jobs) == []
    await asyncio.sleep(0.06)
    assert await jobs.scripts.run("sweep", "", 0, 100, "") == [1, 0, 1]

    held = await lease(jobs, job.id)
    await jobs.scripts.run("fail", job.id, held["fence"], "dead", error)
    assert [one.id for one in await jobs.listing("dead")] == [job.id]
    again = await jobs.replay(job.id)
    assert (again.state, again.attempts, again.error) == ("waiting", 0, None)
    assert order_of(await lease(jobs, job.id)) == order()
    with pytest.raises(Conflict):
        await jobs.replay(job.id)
    with pytest.raises(NotFound):
        await jobs.replay("job-00000000000000000000")


@pytest.mark.parametrize(
    ("obstacle", "waiting"), [(None, "no_worker"), ("no_host", "no_host"), ("", "in_line")], ids=str
)
async def test_why_it_waits(jobs: Jobs, obstacle: str | None, waiting: str) -> None:
    job = await made(jobs)
    if obstacle is not None:
        await jobs.scripts.run("sweep", "w", 10_000, 100, obstacle)
    assert (await jobs.get(job.id)).waiting == waiting


async def test_followers_see_it_through(jobs: Jobs) -> None:
    job = await made(jobs)
    seen: list[tuple[str, float]] = []
    ids: list[str] = []

    async def follow() -> None:
        async for event in jobs.follow(job.id):
            seen.append((event.kind, event.job.share))
            ids.extend([event.id] if event.id else [])

    following = asyncio.create_task(follow())
    while not seen:  # noqa: ASYNC110 - until the follower has begun
        await asyncio.sleep(0.005)
    held = await lease(jobs, job.id)
    await jobs.scripts.run("beat", job.id, held["fence"], 1000, "0.5", "1")
    await jobs.scripts.run("done", job.id, held["fence"], PREVIEW, "", "")
    async with asyncio.timeout(5):
        await following
    assert (seen[0], seen[-1]) == (("job", 0.0), ("done", 1.0))
    assert ids == sorted(ids)

    resumed = [event.kind async for event in jobs.follow(job.id, ids[0])]
    assert resumed[-1] == "done"


async def test_ended_jobs_are_forgotten_by_number(jobs: Jobs, redis_pair: RedisPair) -> None:
    for number in range(1_010):
        job = await made(jobs, number, None, "prerender")
        await jobs.cancel(job.id, None)
    assert await redis_pair.state.zcard(key("state", "cancelled")) == 1_000
    assert len(await redis_pair.state.keys(key("job", "*"))) == 1_000
