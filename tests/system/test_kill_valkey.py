"""kill -9 of Valkey at any moment of a turn: a typed error or none, nothing accepted is lost, it comes back."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.fakes.openai_server import Hold, Say, Stream, echo
from tests.system.instance import until_gone
from tests.system.promises import Conversation, Said
from tests.system.world import WINDOW, World

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with World(tmp_path_factory.mktemp("valkey") / "data") as made:
        yield made
        await made.keeps_its_promises()
        await made.server.kill()
        await made.again()
        await made.keeps_its_promises()


async def kill_valkey(world: World) -> None:
    pid = world.server.valkey()
    os.kill(pid, signal.SIGKILL)
    await until_gone({pid})


async def persist(world: World, talk: Conversation, one: Said) -> None:
    """Sends it again with its key until it is done; on the way only typed errors are allowed."""
    async with asyncio.timeout(60):
        while one.reply is None:
            await asyncio.sleep(0.05)
            await talk.follow(world.server, one)
    # the other: it went away just before the ledger
    assert set(one.failed) <= {"store_unavailable", "generation_disabled"}, world.server.log[-4_000:]


async def recovered(world: World) -> None:
    """Returns once the server says that it is ready; until then it says that it is not, and why."""
    async with asyncio.timeout(60):
        while True:
            status, body = await world.server.ask("GET", "/ready")
            assert (await world.server.ask("GET", "/health"))[0] == 200
            if status == 200:
                return
            assert (status, body["checks"]["redis"]["ok"]) == (503, False)
            await asyncio.sleep(0.05)


async def test_killed_while_nothing_happens(world: World) -> None:
    talk = await world.conversation(turns=2)
    await kill_valkey(world)
    await persist(world, talk, await talk.turn(world.server))
    await recovered(world)
    await world.keeps_its_promises(talk)


async def test_killed_when_a_message_has_just_been_sent(world: World) -> None:
    """Eight messages, a few milliseconds apart."""
    talks = [await world.conversation(turns=WINDOW) for _ in range(8)]
    turns: list[asyncio.Task[Said]] = []
    for talk in talks:
        turns.append(asyncio.create_task(talk.turn(world.server)))
        await asyncio.sleep(0.003)
    await kill_valkey(world)
    for talk, turn in zip(talks, turns, strict=True):
        await persist(world, talk, await turn)
    await recovered(world)
    await world.keeps_its_promises(*talks)


async def test_killed_while_the_model_speaks(world: World) -> None:
    """The reply is stored once Valkey is back, and its reader never knows."""
    early, late = [await world.conversation(turns=WINDOW) for _ in range(2)]
    go = asyncio.Event()
    scripts = {early.name: Stream((Hold(go), Say("Well."))), late.name: Stream((Say("Well"), Hold(go), Say(".")))}
    world.fake.respond = lambda request: scripts[early.name if early.name in request.text else late.name]
    before = len(world.fake.requests)
    turns = [asyncio.create_task(talk.turn(world.server)) for talk in (early, late)]
    await world.fake.arrived(before + 2)
    await asyncio.sleep(0.1)
    await kill_valkey(world)
    go.set()
    for turn in turns:
        one = await turn
        assert (one.reply, one.failed) == ("Well.", [])
    world.fake.respond = echo
    await recovered(world)
    await world.keeps_its_promises(early, late)


@pytest.mark.parametrize("seed", range(3))
async def test_killed_in_the_middle_of_much(world: World, seed: int) -> None:
    dice = random.Random(seed)
    talks = [await world.conversation() for _ in range(8)]
    over = asyncio.Event()

    async def chat(talk: Conversation) -> None:
        while not over.is_set():
            await persist(world, talk, await talk.turn(world.server))

    chatting = [asyncio.create_task(chat(talk)) for talk in talks]
    await asyncio.sleep(0.2 + dice.random() / 2)
    await kill_valkey(world)
    await asyncio.sleep(0.3)
    over.set()
    await asyncio.gather(*chatting)
    await recovered(world)
    await world.keeps_its_promises(*talks)


async def test_server_and_valkey_killed_together(world: World) -> None:
    talks = [await world.conversation() for _ in range(8)]
    over = asyncio.Event()

    async def chat(talk: Conversation) -> None:
        while not over.is_set():
            await talk.turn(world.server)

    chatting = [asyncio.create_task(chat(talk)) for talk in talks]
    await asyncio.sleep(0.5)
    over.set()
    os.kill(world.server.valkey(), signal.SIGKILL)
    await world.server.kill()
    await asyncio.gather(*chatting)
    await world.again()
    await world.keeps_its_promises(*talks)
