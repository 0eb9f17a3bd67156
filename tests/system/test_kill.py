"""kill -9 of the server at any moment of a turn: what was accepted is there once, in order, and the turn can go on."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from tests.fakes.openai_server import Hold, Say, Stream, echo
from tests.harness import Json
from tests.system.instance import Instance, spawn, until
from tests.system.promises import LOST, Conversation, Said, check_windows, closed, history
from tests.system.world import WINDOW, World

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with World(tmp_path_factory.mktemp("kill") / "data") as made:
        yield made
        await made.keeps_its_promises()  # many kills later


Moment = Callable[[World, Conversation], Awaitable[None]]


def request(server: Instance, talk: Conversation, one: Said) -> bytes:
    """The turn as it goes over the wire."""
    body = f'{{"character_id":"{talk.character}","message":"{one.text}"}}'.encode()
    head = (
        f"POST /v1/chat HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {server.token}\r\n"
        f"Idempotency-Key: {one.key}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def next_said(talk: Conversation) -> Said:
    one = Said(f"{talk.name} says thing number {len(talk.said)}", f"{talk.name}-{len(talk.said)}")
    talk.said.append(one)
    return one


async def half_sent(world: World, talk: Conversation) -> None:
    one = next_said(talk)
    _, writer = await asyncio.open_connection("127.0.0.1", world.server.port)
    writer.write(request(world.server, talk, one)[:-10])
    await asyncio.sleep(0.05)
    await world.server.kill()
    writer.close()


async def sent(world: World, talk: Conversation) -> None:
    """Eight requests in as many conversations, a few milliseconds apart."""
    writers: list[asyncio.StreamWriter] = []
    for each in [talk, *[await world.conversation(turns=2) for _ in range(7)]]:
        _, writer = await asyncio.open_connection("127.0.0.1", world.server.port)
        writers.append(writer)
        writer.write(request(world.server, each, next_said(each)))
        await asyncio.sleep(0.003)
    await world.server.kill()
    for writer in writers:
        writer.close()


def at_event(name: str, script: Stream) -> Moment:
    """When the client has got the first event of this name."""

    async def moment(world: World, talk: Conversation) -> None:
        world.fake.respond = lambda _: script
        one = next_said(talk)
        await talk.follow(world.server, one, until=name)
        assert one.accepted
        await world.server.kill()

    return moment


async def waiting_behind_another(world: World, talk: Conversation) -> None:
    """Two turns at once: the second is accepted, and its reply waits for the first one's."""
    world.fake.respond = lambda _: Stream((Say("Well "), Hold()))
    first, second = next_said(talk), next_said(talk)
    following = asyncio.create_task(talk.follow(world.server, first))
    await until(lambda: first.accepted)
    await talk.follow(world.server, second, until="accepted")
    await world.server.kill()
    await following


async def while_draining(world: World, talk: Conversation) -> None:
    world.fake.respond = lambda _: Stream((Say("Well "), Hold()))
    one = next_said(talk)
    following = asyncio.create_task(talk.follow(world.server, one))
    await until(lambda: one.accepted)
    world.server.process.terminate()
    await asyncio.sleep(0.3)
    assert world.server.process.poll() is None
    await world.server.kill()
    await following


async def while_starting(world: World, talk: Conversation) -> None:
    """Three times, at another moment of the start each time."""
    assert (await talk.turn(world.server)).reply
    await world.server.kill()
    for seconds in (0.4, 0.9, 1.5):
        process = spawn(world.data, world.fake.base_url, output=world.data.with_name("starting.log"))
        await asyncio.sleep(seconds)
        process.kill()
        await asyncio.to_thread(process.wait)


MOMENTS: dict[str, Moment] = {
    "half of the request is there": half_sent,
    "the request is there": sent,
    "accepted": at_event("accepted", Stream((Hold(),))),
    "in the middle of the reply": at_event("token", Stream((Say("Well, "), Say("you see"), Hold()))),
    "the reply is whole, its end not": at_event("token", Stream((Say("Well."), Hold()), finish="stop")),
    "done": at_event("done", Stream((Say("Well."),))),
    "another turn waits": waiting_behind_another,
    "while it drains": while_draining,
    "while it starts": while_starting,
}


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS.keys())
async def test_killed_when(world: World, moment: Moment) -> None:
    before = len(world.conversations)
    talk = await world.conversation(turns=WINDOW)
    await moment(world, talk)
    world.fake.respond = echo
    await world.again()
    await world.keeps_its_promises(*world.conversations[before:])


@pytest.mark.parametrize("seed", range(5))
async def test_killed_in_the_middle_of_much(world: World, seed: int) -> None:
    """Eight conversations at full speed, windows closing all the time; the moment is chance's."""
    dice = random.Random(seed)
    talks = [await world.conversation() for _ in range(8)]
    killed = asyncio.Event()

    async def chat(talk: Conversation) -> None:
        while not killed.is_set():
            await talk.turn(world.server)

    chatting = [asyncio.create_task(chat(talk)) for talk in talks]
    enough = dice.randint(10, 30)
    await until(lambda: sum(one.accepted for talk in talks for one in talk.said) >= enough)
    await asyncio.sleep(dice.random() / 50)
    killed.set()
    await world.server.kill()
    await asyncio.gather(*chatting)
    await world.again()
    await world.keeps_its_promises(*talks)


@pytest.mark.parametrize("milliseconds", [1, 5, 12])
async def test_killed_while_closed_windows_change(world: World, milliseconds: int) -> None:
    """An edit, a deletion and forgetting: done or not done, never half; and the same call again finishes it."""
    server = world.server
    edited, cut, forgetful = characters = [await server.character(name="Changing") for _ in range(3)]
    for character in characters:
        for number in range(9):
            assert (await server.say(character, f"line {number}"))[0] == 200
        await closed(server, character, 4)
    said = {character: await history(server, character) for character in characters}
    ids = {character: [message["id"] for message in said[character]] for character in characters}
    calls: list[tuple[str, str, Json | None]] = [
        ("PATCH", f"/v1/chat/{edited}/messages/{ids[edited][2]}", {"text": "another line"}),
        ("DELETE", f"/v1/chat/{cut}/messages/{ids[cut][5]}", None),
        ("POST", f"/v1/memory/{forgetful}/forget", {"message_ids": ids[forgetful][1:14:4]}),
    ]

    async def call(method: str, path: str, body: Json | None) -> int:
        try:
            return (await world.server.ask(method, path, json=body))[0]
        except LOST:
            return 0

    going = [asyncio.create_task(call(*each)) for each in calls]
    await asyncio.sleep(milliseconds / 1000)
    await server.kill()
    await asyncio.gather(*going)
    server = await world.again()
    shown = {character: [(m["id"], m["text"]) for m in await history(server, character)] for character in characters}
    before = {character: [(m["id"], m["text"]) for m in said[character]] for character in characters}
    after = {
        edited: [(id, "another line" if at == 2 else text) for at, (id, text) in enumerate(before[edited])],
        cut: before[cut][:5],
        forgetful: [one for at, one in enumerate(before[forgetful]) if at not in range(1, 14, 4)],
    }
    assert shown[edited] in (before[edited], after[edited])
    assert shown[cut] in (before[cut], after[cut])
    assert set(after[forgetful]) <= set(shown[forgetful]) <= set(before[forgetful])
    for each in calls:
        assert await call(*each) in (200, 404)
    for character in characters:
        messages = await history(server, character)
        assert [(m["id"], m["text"]) for m in messages] == after[character]
        await check_windows(server, character, messages)
