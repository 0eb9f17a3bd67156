"""Who renders what, over all workers, and what becomes of hosts that fail."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from server.errors import GraphRejected, HostOutOfMemory, HostUnavailable, RenderError, StoreUnavailable, VestigeError
from server.render.fleet import state as fleet_state
from server.render.fleet.fleet import Fleet
from server.render.fleet.types import Claim, Needs, Verdict
from server.render.graphs.build import build
from server.render.graphs.request import LoraVersion
from server.stores.redis import RedisPair
from tests.render.fleet.conftest import MakeFleet, StartHost
from tests.render.graphs.asking import asked
from tests.render.graphs.described import CHECKPOINTS


async def needs(fleet: Fleet, *, urgent: bool = True, **changed: Any) -> Needs:
    return await fleet.needs(build(asked(**changed)), urgent=urgent)


async def taken(fleet: Fleet, *line: Needs) -> Claim:
    chosen = await fleet.choose(line)
    assert chosen is not None
    return chosen[1]


async def test_two_at_a_host_and_no_more_over_all_workers(make_fleet: MakeFleet, start_host: StartHost) -> None:
    fakes = {f"gpu{n}": await start_host() for n in range(3)}
    workers = [make_fleet(**fakes) for _ in range(8)]
    wanted = await needs(workers[0])
    async with asyncio.TaskGroup() as group:
        choices = [group.create_task(worker.choose([wanted] * 40)) for worker in workers for _ in range(3)]
    claims = [choice[1] for task in choices if (choice := task.result()) is not None]
    per_host = [sum(claim.host == name for claim in claims) for name in fakes]
    assert max(per_host) <= 2
    assert len({claim.slot for claim in claims}) == len(claims)
    while await workers[0].choose([wanted] * 40):
        pass
    assert sorted(state.claims for state in await workers[1].look()) == [2, 2, 2]
    assert await workers[1].choose([wanted]) is None
    await workers[1].release(claims[0])
    assert (await taken(workers[2], wanted)).host == claims[0].host


async def test_the_warm_host_has_it(make_fleet: MakeFleet, start_host: StartHost) -> None:
    fleet = make_fleet(gpu1=await start_host(), gpu2=await start_host())
    mira = await needs(fleet)
    other = await needs(fleet, checkpoint=CHECKPOINTS[0], lora=None)
    first = await taken(fleet, mira)
    await fleet.release(first, seconds=9.0, prompt_id="a")
    second = await taken(fleet, other)
    assert second.host != first.host
    assert second.swap > 1
    await fleet.release(second, seconds=9.0, prompt_id="b")
    for wanted, claim in ((mira, first), (other, second), (mira, first)):
        again = await taken(fleet, wanted)
        assert (again.host, again.swap) == (claim.host, 0.0)
        await fleet.release(again, seconds=2.0, prompt_id="c")
    states = {state.name: state for state in await fleet.look()}
    assert states[first.host].warm == mira.models
    assert states[first.host].seconds == pytest.approx(2.0)


async def test_what_a_swap_takes_is_learned(make_fleet: MakeFleet, start_host: StartHost) -> None:
    fleet = make_fleet(gpu1=await start_host())
    mira, other = await needs(fleet), await needs(fleet, checkpoint=CHECKPOINTS[0])
    for wanted, seconds in ((mira, 16.0), (mira, 4.0), (other, 16.0)):
        await fleet.release(await taken(fleet, wanted), seconds=seconds, prompt_id="a")
    [state] = await fleet.look()
    assert state.seconds == pytest.approx(4.0)
    assert state.swap_seconds == pytest.approx(12.0)


async def test_where_swaps_cost_nothing_every_host_helps(make_fleet: MakeFleet, start_host: StartHost) -> None:
    """What one host was measured to take counts for those that were not."""
    fleet = make_fleet(**{f"gpu{n}": await start_host() for n in range(4)})
    mira = await needs(fleet)
    for _ in range(2):
        await fleet.release(await taken(fleet, mira), seconds=1.0, prompt_id="a")
    claims = [await taken(fleet, *[mira] * 8) for _ in range(8)]
    assert len({claim.host for claim in claims}) == 4


async def test_a_worker_that_dies_frees_its_place(
    make_fleet: MakeFleet, start_host: StartHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = make_fleet(gpu1=await start_host())
    wanted = await needs(fleet)
    monkeypatch.setattr(fleet_state, "LEASE_SECONDS", 0.3)
    held, dead = await taken(fleet, wanted), await taken(fleet, wanted)
    assert await fleet.choose([wanted]) is None
    for _ in range(4):
        await asyncio.sleep(0.1)
        assert await fleet.renew(held)
    again = await taken(fleet, wanted)
    assert again.slot not in (held.slot, dead.slot)
    assert not await fleet.renew(dead)
    await fleet.release(dead)  # it was slow, not dead: nothing happens
    assert await fleet.renew(again)


async def test_holding_renews(make_fleet: MakeFleet, start_host: StartHost, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = make_fleet(gpu1=await start_host())
    wanted = await needs(fleet)
    for module in (fleet_state, __import__("server.render.fleet.fleet", fromlist=["LEASE_SECONDS"])):
        monkeypatch.setattr(module, "LEASE_SECONDS", 0.3)
    async with fleet.holding(await taken(fleet, wanted)) as claim:
        await asyncio.sleep(0.7)
        assert await fleet.renew(claim)


async def test_a_render_that_is_there_is_joined_again(make_fleet: MakeFleet, start_host: StartHost) -> None:
    fleet = make_fleet(gpu1=await start_host())
    wanted = await needs(fleet)
    await taken(fleet, wanted)
    await taken(fleet, wanted)
    joined = await fleet.rejoin("gpu1", wanted)
    assert joined is not None
    assert joined.keyed
    assert await fleet.rejoin("gone", wanted) is None


async def test_a_drained_host_gets_nothing_new(make_fleet: MakeFleet, start_host: StartHost) -> None:
    fleet = make_fleet(gpu1=await start_host())
    wanted = await needs(fleet)
    held = await taken(fleet, wanted)
    state = await fleet.drain("gpu1", True)
    assert (state.drained, state.usable, state.claims) == (True, False, 1)
    assert await fleet.choose([wanted]) is None
    assert await fleet.renew(held)
    assert (await fleet.drain("gpu1", False)).usable
    assert await fleet.choose([wanted]) is not None


@pytest.mark.parametrize(
    ("error", "verdict", "usable", "freed"),
    [
        (HostOutOfMemory("no room"), Verdict(True, True, 1), True, 1),
        (HostUnavailable("gone"), Verdict(True, True), False, 0),
        (HostUnavailable("restarted", lost=True), Verdict(True), True, 0),
        (GraphRejected("no such file"), Verdict(True, True, 1), True, 0),
        (RenderError("a node failed"), Verdict(True, True, 1), True, 0),
        (
            RenderError("gpu1 failed at KSampler: CUDA error: an illegal memory access"),
            Verdict(True, True, 1),
            False,
            0,
        ),
        (RenderError("interrupted", interrupted=True), Verdict(True, False, 1), True, 0),
        (StoreUnavailable("the disk is full"), Verdict(False), True, 0),
    ],
)
async def test_what_a_failure_means(
    make_fleet: MakeFleet, start_host: StartHost, error: VestigeError, verdict: Verdict, usable: bool, freed: int
) -> None:
    fake = await start_host()
    fleet = make_fleet(gpu1=fake)
    assert await fleet.release(await taken(fleet, await needs(fleet)), error=error) == verdict
    [state] = await fleet.look()
    assert (state.usable, state.claims, len(fake.freed)) == (usable, 0, freed)
    if freed:
        assert fake.freed == [{"unload_models": True, "free_memory": True}]
        assert state.warm == ()


async def test_a_retry_goes_elsewhere_if_there_is_an_elsewhere(make_fleet: MakeFleet, start_host: StartHost) -> None:
    gpu1, gpu2 = await start_host(), await start_host()
    both, one = make_fleet(gpu1=gpu1, gpu2=gpu2), make_fleet(gpu1=gpu1)
    first = await taken(both, await needs(both))
    await both.release(first, error=HostOutOfMemory("no room"))
    again = Needs.from_json((await needs(both)).to_json() | {"avoid": [first.host]})
    assert (await taken(both, again)).host != first.host
    alone = Needs.from_json((await needs(one)).to_json() | {"avoid": ["gpu1"]})
    assert (await taken(one, alone)).host == "gpu1"


async def test_a_host_that_fails_rests_longer_each_time_and_is_seen_well_before_it_is_used(
    make_fleet: MakeFleet, start_host: StartHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_state, "FIRST_REST_SECONDS", 0.2)
    fake = await start_host()
    fleet = make_fleet(gpu1=fake)
    wanted = await needs(fleet)
    rests: list[float] = []
    for _ in range(3):
        claims = [await taken(fleet, wanted), await taken(fleet, wanted)]
        for claim in claims:  # what was under way together fails together, and counts once
            await fleet.release(claim, error=HostUnavailable("gone"))
        [state] = await fleet.look()
        assert state.benched_until is not None
        rests.append(state.benched_until)
        assert "It rests for" in str(state.why)
        assert await fleet.choose([wanted]) is None
        await asyncio.sleep(0.2 * 2 ** (len(rests) - 1) + 0.05)
        assert await fleet.choose([wanted]) is None  # nobody has looked yet
        assert (await fleet.probe("gpu1")).usable
    [state] = await fleet.look()
    assert state.failures == 3
    await fleet.release(await taken(fleet, wanted), seconds=1.0, prompt_id="a")
    [state] = await fleet.look()
    assert state.failures == 0


async def test_a_probe_ends_a_rest_only_where_the_host_is_well(make_fleet: MakeFleet, start_host: StartHost) -> None:
    fake = await start_host()
    fleet = make_fleet(gpu1=fake)
    await fleet.release(await taken(fleet, await needs(fleet)), error=HostUnavailable("gone"))
    fake.broken = True
    assert not (await fleet.probe("gpu1")).usable
    fake.broken = False
    assert (await fleet.probe("gpu1")).usable


async def test_three_failures_in_a_row_are_the_hosts(make_fleet: MakeFleet, start_host: StartHost) -> None:
    fleet = make_fleet(gpu1=await start_host())
    wanted = await needs(fleet)
    for n in range(3):
        assert (await fleet.look())[0].usable, n
        await fleet.release(await taken(fleet, wanted), error=RenderError("a node failed"))
    assert not (await fleet.look())[0].usable


@pytest.mark.parametrize("pack", [True, False])
async def test_a_restart_is_noticed(make_fleet: MakeFleet, start_host: StartHost, pack: bool) -> None:
    fake = await start_host(pack=pack)
    fleet = make_fleet(gpu1=fake)
    await fleet.release(await taken(fleet, await needs(fleet)), seconds=1.0, prompt_id="a")
    fake.history["a"] = {"outputs": {}}
    await fleet.probe("gpu1")
    assert (await fleet.look())[0].warm
    fake.restart()
    assert (await fleet.probe("gpu1")).warm == ()


async def test_strangers_renders_count(make_fleet: MakeFleet, start_host: StartHost) -> None:
    gpu1, gpu2 = await start_host(pause=5), await start_host()
    fleet = make_fleet(gpu1=gpu1, gpu2=gpu2)
    wanted = await needs(fleet)
    warm = await taken(fleet, wanted)
    await fleet.release(warm, seconds=1.0, prompt_id="a")
    assert warm.host == "gpu1"
    for n in range(4):
        gpu1.queued(f"stranger-{n}", {"1": {}, "2": {}}, "somebody")
    state = await fleet.probe("gpu1")
    assert (state.strangers, state.queue, state.warm) == (4, 0, ())
    assert (await taken(fleet, wanted)).host == "gpu2"


async def test_a_long_line_is_looked_at_as_a_whole(make_fleet: MakeFleet, start_host: StartHost) -> None:
    fleet = make_fleet(gpu1=await start_host())
    mira, other = await needs(fleet), await needs(fleet, lora=LoraVersion("otis", 2), checkpoint=CHECKPOINTS[0])
    await fleet.release(await taken(fleet, mira), seconds=1.0, prompt_id="a")
    chosen = await fleet.choose([other] * 400 + [mira])
    assert chosen is not None
    assert chosen[0] == 400


async def test_a_store_that_is_gone_is_said(
    make_fleet: MakeFleet, start_host: StartHost, redis_pair: RedisPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = make_fleet(gpu1=await start_host())
    wanted = await needs(fleet)

    def broken(*_: object, **__: object) -> Callable[[], None]:
        raise ConnectionRefusedError

    monkeypatch.setattr(redis_pair.busy, "pipeline", broken)
    with pytest.raises(StoreUnavailable):
        await fleet.choose([wanted])
