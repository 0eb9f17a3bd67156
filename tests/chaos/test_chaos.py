"""Everything that dies, hangs, lies or fills up, at random points of renders: none lost, none twice, none wrong.

`VESTIGE_CHAOS_ROUNDS=30 python -m pytest tests/chaos -s` strikes thirty times each and prints what it came to.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from tests.chaos.small_disk import small_disk
from tests.chaos.world import ChaosWorld, chaos_world

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

ROUNDS = int(os.environ.get("VESTIGE_CHAOS_ROUNDS", "1"))
PICTURES = 4

Strike = Callable[[ChaosWorld, random.Random], Awaitable[None]]


async def websocket_dropped(world: ChaosWorld, dice: random.Random) -> None:
    for host in world.hosts:
        await host.close_sockets()
        await asyncio.sleep(dice.random() / 2)
        await host.close_sockets()


async def host_killed(world: ChaosWorld, dice: random.Random) -> None:
    host = dice.choice([host for host in world.hosts if host.running] or world.hosts)
    await host.die()
    await asyncio.sleep(dice.random() * 2)
    await host.rise()


async def worker_killed(world: ChaosWorld, dice: random.Random) -> None:
    await world.kill_worker(dice)


async def server_killed(world: ChaosWorld, dice: random.Random) -> None:
    await world.kill_server()


async def redis_killed(world: ChaosWorld, dice: random.Random) -> None:
    await world.kill_valkey()


async def slow_loris(world: ChaosWorld, dice: random.Random) -> None:
    """A byte at a time: for some seconds, or, where there is time, until the worker has had enough."""
    host = dice.choice(world.hosts)
    host.dripping = True
    await asyncio.sleep(35 if ROUNDS > 1 and dice.random() < 0.25 else 1 + dice.random() * 3)
    host.dripping = False


async def everything_at_once(world: ChaosWorld, dice: random.Random) -> None:
    await asyncio.gather(host_killed(world, dice), redis_killed(world, dice), worker_killed(world, dice))


STRIKES: tuple[Strike, ...] = (
    websocket_dropped,
    host_killed,
    worker_killed,
    redis_killed,
    slow_loris,
    everything_at_once,
    server_killed,
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ChaosWorld]:
    folder = tmp_path_factory.mktemp("chaos")
    with small_disk(folder / "objects") as objects:
        async with chaos_world(folder, objects, workers=min(2, ROUNDS)) as made:
            yield made
            print(f"\n{made.tally}")  # noqa: T201 - for those who run many rounds


@pytest.fixture(autouse=True)
async def _promises(world: ChaosWorld) -> AsyncIterator[None]:
    """Nothing may be lost, twice or wrong at the end of any round."""
    yield
    assert (world.tally.lost, world.tally.twice, world.tally.wrong) == (0, 0, 0), world.tally


@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize("strike", STRIKES, ids=lambda strike: strike.__name__)
async def test_struck_at_a_random_point(world: ChaosWorld, strike: Strike, number: int) -> None:
    dice = random.Random(f"{strike.__name__}-{number}")
    asked = await world.midst(dice, PICTURES)
    await strike(world, dice)
    await world.settle(asked)
    await world.rest()


@pytest.mark.parametrize("number", range(ROUNDS))
async def test_submitted_twice(world: ChaosWorld, number: int) -> None:
    """Asked for by many at once, while hosts take graphs and do not say so, and tickets vanish."""
    dice = random.Random(f"twice-{number}")
    for host in world.hosts:
        host.lose_answers = dice.randint(1, 2)
    asked = await asyncio.gather(*(world.ask(times=6) for _ in range(PICTURES)))
    await asyncio.sleep(dice.random())
    world.lose_tickets()
    await world.settle(asked)
    await world.rest()


@pytest.mark.parametrize("number", range(ROUNDS))
async def test_pictures_cut_off(world: ChaosWorld, number: int) -> None:
    """Half of it as if it were whole, or a connection that ends inside it."""
    dice = random.Random(f"cut-{number}")
    for host in world.hosts:
        host.cuts, host.breaks = dice.choice(((1, 0), (2, 0), (3, 0), (0, 1), (0, 2), (1, 2)))
    await world.settle([await world.ask() for _ in range(PICTURES)])
    await world.rest()


@pytest.mark.parametrize("number", range(ROUNDS))
async def test_a_full_object_store(world: ChaosWorld, number: int) -> None:
    """Nothing is rendered again: the hosts have the pictures, and there is room for them later."""
    if not world.objects.is_mount():
        pytest.skip("no disk may be mounted here, so none can be filled")
    dice = random.Random(f"full-{number}")
    asked = await world.midst(dice, PICTURES)
    filler = world.objects / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 12))
        except OSError:
            pass
    await asyncio.sleep(1 + dice.random() * 2)
    filler.unlink()
    await world.settle(asked)
    await world.rest()
