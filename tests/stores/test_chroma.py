"""Records in shards: what goes in comes out, in order, however many."""

import asyncio
import shutil
import threading

import numpy as np
import pytest
from chromadb.errors import InternalError, InvalidArgumentError

from server.errors import StoreUnavailable
from server.stores import chroma as chroma_module
from server.stores.chroma import Record, open_chroma
from server.stores.chroma_thread import ChromaThreads
from server.stores.valkey_disk import RESERVE
from tests.stores.records import DIM, KEY, record


async def test_get_answers_in_the_order_asked_and_leaves_out_what_is_not_there(chroma):
    await chroma.add(KEY, [record("a", "one"), record("b", "two ❀\n", n=2, f=0.5, yes=True)])
    found = await chroma.get(KEY, ["b", "nope", "a", "b"])
    assert [(r.id, r.document) for r in found] == [("b", "two ❀\n"), ("a", "one"), ("b", "two ❀\n")]
    assert found[0].metadata == {"scope": KEY, "n": 2, "f": 0.5, "yes": True}
    assert found[0].embedding is None


async def test_nothing_asked_is_nothing_done(chroma):
    await chroma.add(KEY, [record("a")])
    await chroma.add(KEY, [])
    await chroma.delete(KEY, [])
    assert await chroma.get(KEY, []) == []
    assert len(await chroma.get(KEY, ["a"])) == 1


async def test_a_new_key_has_no_records_and_no_error(chroma):
    assert await chroma.get("default/new/nobody", ["a"]) == []
    assert await chroma.find("default/new/nobody", {"scope": "default/new/nobody"}) == []
    await chroma.delete_where("default/new/nobody", {"scope": "default/new/nobody"})


async def test_adding_again_writes_over(chroma):
    await chroma.add(KEY, [record("a", "first", old=1)])
    await chroma.add(KEY, [record("a", "second", new=1)])
    (found,) = await chroma.get(KEY, ["a"])
    assert (found.document, found.metadata.get("new")) == ("second", 1)


async def test_more_than_a_batch_is_as_good_as_one(chroma, monkeypatch):
    monkeypatch.setattr(chroma_module, "_READ_BATCH", 50)
    ids = [f"w{n}" for n in range(130)]
    await chroma.add(KEY, [record(id, f"text of {id}") for id in ids])
    found = await chroma.get(KEY, ids[::-1])
    assert [r.document for r in found] == [f"text of {id}" for id in ids[::-1]]
    await chroma.delete(KEY, ids[:100])
    assert {r.id for r in await chroma.find(KEY, {"scope": KEY})} == set(ids[100:])


async def test_a_large_text_with_every_kind_of_character_comes_back_as_it_was(chroma):
    text = '{"text": "' + "".join(map(chr, [*range(0xD800), *range(0xE000, 0x10000), 0x1F600])) + '"}'
    await chroma.add(KEY, [record("a", text, m=text)])
    (found,) = await chroma.get(KEY, ["a"])
    assert found.document == text
    assert found.metadata["m"] == text


async def test_find_wants_every_value(chroma):
    await chroma.add(
        KEY, [record("a", kind="window", n=1), record("b", kind="window", n=2), record("c", kind="summary")]
    )
    assert {r.id for r in await chroma.find(KEY, {"kind": "window"})} == {"a", "b"}
    assert {r.id for r in await chroma.find(KEY, {"kind": "window", "n": 2})} == {"b"}
    await chroma.delete_where(KEY, {"kind": "window", "n": 1})
    assert {r.id for r in await chroma.find(KEY, {"scope": KEY})} == {"b", "c"}


async def test_a_condition_is_needed(chroma):
    with pytest.raises(ValueError, match="whole shard"):
        await chroma.delete_where(KEY, {})


async def test_updating_metadata_keeps_the_rest(chroma):
    await chroma.add(KEY, [record("a", "text", n=1, m="old")])
    await chroma.update_metadata(KEY, "a", {"m": "new", "more": True})
    await chroma.update_metadata(KEY, "nobody", {"m": "new"})
    (found,) = await chroma.get(KEY, ["a"])
    assert found.document == "text"
    assert found.metadata == {"scope": KEY, "n": 1, "m": "new", "more": True}
    assert await chroma.get(KEY, ["nobody"]) == []


async def test_records_are_there_after_a_restart(settings, folder):
    for expected in (0, 1, 2):
        async with open_chroma(settings, folder, dim=DIM, embedder_id="hash") as shards:
            found = await shards.find(KEY, {"scope": KEY})
            assert len(found) == expected
            await shards.add(KEY, [record(f"w{expected}", f"text {expected}")])


async def test_keys_spread_over_the_shards(chroma):
    used = {id(chroma._shard(f"default/user-{n}/mira")) for n in range(200)}
    assert len(used) == 16


async def test_many_readers_and_writers_at_once(chroma):
    async def work(user: int) -> None:
        key = f"default/user-{user}/mira"
        for n in range(5):
            await chroma.add(key, [record(f"{user}-{n}", f"{user} said {n}")])
            found = await chroma.get(key, [f"{user}-{m}" for m in range(n + 1)])
            assert [r.document for r in found] == [f"{user} said {m}" for m in range(n + 1)]

    await asyncio.gather(*(work(user) for user in range(20)))


async def test_a_vector_of_another_length_is_a_bug_not_an_outage(chroma):
    await chroma.add(KEY, [record("a")])
    with pytest.raises(InvalidArgumentError):
        await chroma.add(KEY, [Record("b", np.ones(3, np.float32), metadata={"scope": KEY})])
    with pytest.raises(ValueError, match="no embedding"):
        await chroma.add(KEY, [Record("b", metadata={"scope": KEY})])


async def test_it_says_when_it_answers(chroma):
    await chroma.check()


@pytest.fixture
def threads():
    made = ChromaThreads()
    yield made
    made.close()


class PanicException(BaseException):
    """As Chroma's Rust part raises it: no Exception."""


def failing(error: BaseException):
    def work() -> None:
        raise error

    return work


@pytest.mark.parametrize(
    "error",
    [InternalError("disk I/O error"), OSError("gone"), Exception("not JSON"), PanicException("called `unwrap()`")],
)
async def test_every_failure_of_chroma_is_one_typed_error(threads, error):
    with pytest.raises(StoreUnavailable, match="The index failed") as caught:
        await threads.run(failing(error), 5)
    assert caught.value.details == {"store": "index"}


async def test_a_bug_stays_what_it_is(threads):
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0, 5)


async def test_a_call_that_hangs_is_given_up_and_others_go_on(threads):
    hang = threading.Event()
    with pytest.raises(StoreUnavailable, match="did not answer in time"):
        await threads.run(hang.wait, 0.05)
    assert await threads.run(lambda: "fine", 5) == "fine"
    hang.set()


async def test_a_write_for_which_the_disk_may_lack_room_is_not_begun(chroma, monkeypatch):
    await chroma.add(KEY, [record("a")])
    used = shutil.disk_usage("/")
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda _: used._replace(free=RESERVE - 1))
        for write in (
            chroma.add(KEY, [record("b")]),
            chroma.delete(KEY, ["a"]),
            chroma.update_metadata(KEY, "a", {"n": 1}),
        ):
            with pytest.raises(StoreUnavailable, match="no disk space left"):
                await write
        assert [one.id for one in await chroma.get(KEY, ["a", "b"])] == ["a"]
    await chroma.add(KEY, [record("b")])
    assert [one.id for one in await chroma.get(KEY, ["a", "b"])] == ["a", "b"]


async def test_a_write_that_was_given_up_is_over_before_the_next_one_begins(chroma):
    """Else a deletion could overtake the writing of what it deletes."""
    begun, go, order = threading.Event(), threading.Event(), []

    def slow() -> None:
        begun.set()
        go.wait(10)
        order.append("first")

    first = asyncio.create_task(chroma._write(slow))
    await asyncio.to_thread(begun.wait)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = asyncio.create_task(chroma._write(lambda: order.append("second")))
    await asyncio.sleep(0.05)
    assert order == []
    go.set()
    await second
    assert order == ["first", "second"]
