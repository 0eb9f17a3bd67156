"""A host's list of things to forget: whoever dies loses nothing of it, and what is asked for again is done again."""

import pytest

from server.render.forgetting import things as named
from server.render.forgetting.things import Things
from server.render.forgetting.todo import Todo
from server.render.jobs.scripts import Scripts, key
from server.render.types import PictureRef
from server.stores.redis import RedisPair

RENDER = named.render("p1", "ab" * 32)
REFERENCE = named.reference("cd" * 32)


@pytest.fixture
def todo(redis_pair: RedisPair) -> Todo:
    return Todo(redis_pair.state)


async def test_what_was_taken_is_nobody_elses_until_it_comes_back(todo: Todo) -> None:
    await todo.add("gpu1", [RENDER, REFERENCE])
    await todo.add("gpu1", [RENDER])
    taken = await todo.take("gpu1", 10)
    assert set(taken.things) == {RENDER, REFERENCE}
    assert (await todo.take("gpu1", 10)).things == ()
    await todo.done("gpu1", taken, [RENDER])
    await todo.later("gpu1", taken, [REFERENCE], 0, "gpu1 cannot be reached.")
    assert await todo.why() == {"gpu1": "gpu1 cannot be reached."}
    again = await todo.take("gpu1", 10)
    assert again.things == (REFERENCE,)
    await todo.done("gpu1", again, again.things)
    assert (await todo.left(), await todo.counts(), await todo.why()) == ({}, {}, {})


async def test_what_somebody_took_who_died_comes_back(todo: Todo, redis_pair: RedisPair) -> None:
    await todo.add("gpu1", [RENDER])
    assert (await Scripts(redis_pair.state).run("forgetting", "gpu1", 10, 0, 10))[2:] == [RENDER]
    assert (await todo.take("gpu1", 10)).things == (RENDER,)


async def test_what_is_asked_for_again_meanwhile_is_done_again(todo: Todo) -> None:
    await todo.add("gpu1", [REFERENCE, RENDER])
    taken = await todo.take("gpu1", 10)
    await todo.add("gpu1", [REFERENCE])  # it was uploaded once more
    await todo.done("gpu1", taken, taken.things)
    assert (await todo.take("gpu1", 10)).things == (REFERENCE,)


async def test_a_list_is_bounded_and_says_what_it_gave_up(todo: Todo, redis_pair: RedisPair) -> None:
    scripts = Scripts(redis_pair.state)
    for number in range(5):
        await redis_pair.state.zadd(key("forget", "gpu1"), {f"render:{number}:k": number})
    _, given_up, *kept = await scripts.run("forgetting", "gpu1", 10, 1000, 3)
    assert (given_up, kept) == ("2", ["render:2:k", "render:3:k", "render:4:k"])


async def test_a_host_that_left_the_settings_is_dropped_once_no_server_knows_it(todo: Todo) -> None:
    await todo.add("gpu1", [RENDER])
    await todo.add("old", [RENDER, REFERENCE])
    assert await todo.drop_strangers(["gpu1"], 60) == {}
    assert await todo.drop_strangers(["gpu1", "old"], 0) == {}  # a server that was not restarted yet still has it
    assert await todo.drop_strangers(["gpu1"], 60) == {}
    assert await todo.drop_strangers(["gpu1"], 0) == {"old": 2}
    assert await todo.left() == {"gpu1": [RENDER]}


async def test_memory_is_freed_now_and_then(todo: Todo) -> None:
    assert await todo.freed_for("gpu1") == 0
    await todo.freed("gpu1", 60)
    assert 50 < await todo.freed_for("gpu1") <= 60
    assert await todo.freed_for("gpu2") == 0


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({}, None),
        ({"host": "", "prompt_id": "p1", "preview": {"key": "k", "owner": None}}, None),
        ({"host": "gpu1", "prompt_id": "p1", "preview": {"key": "k", "owner": None}}, ["render:p1:k"]),
        (
            {"host": "gpu1", "prompt_id": "p1", "file": "temp//a.png", "preview": {"key": "k", "owner": "anna"}},
            ["render:p1:k", "file:k:temp//a.png", "memory"],
        ),
    ],
)
def test_what_a_record_says_of_its_host(record: dict[str, object], expected: list[str] | None) -> None:
    assert named.of_record(record) == (None if expected is None else ("gpu1", expected))


def test_things_by_their_kind() -> None:
    texts = [RENDER, REFERENCE, "file:k:output/a/b/c:d.png", "file:k:temp//x.png", "memory", "hat:1", "file:k", ""]
    things = Things.of(texts)
    assert things.renders == {RENDER: ("p1", "ab" * 32)}
    assert things.references == {REFERENCE: "cd" * 32}
    assert list(things.files.values()) == [
        ("k", PictureRef("", "c:d.png", "a/b", "output")),
        ("k", PictureRef("", "x.png", "", "temp")),
    ]
    assert (things.memory, things.unknown) == (True, ["hat:1", "file:k", ""])


@pytest.mark.parametrize(
    ("thing", "expected"),
    [
        (RENDER, True),
        (REFERENCE, True),
        (f"file:{'ab' * 32}:temp//x.png", True),
        (named.render("p1", "ef" * 32), False),
        (named.reference("ab" * 32), False),
        ("memory", False),
    ],
)
def test_what_a_thing_is_about(thing: str, expected: bool) -> None:
    assert named.about(thing, frozenset({"ab" * 32}), frozenset({"cd" * 32})) is expected
