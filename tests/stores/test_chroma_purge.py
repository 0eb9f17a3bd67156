"""After a purge, deleted text is nowhere under the data folder, and nothing else is lost."""

import asyncio

import pytest

from server.errors import StoreUnavailable
from server.stores import chroma as chroma_module
from server.stores import chroma_tools
from server.stores.chroma import open_chroma
from tests.stores.records import DIM, KEY, record

LONG = 3_000  # characters: more than fits into one page of SQLite


@pytest.mark.parametrize("count", [20, 200])  # fewer and more than Chroma keeps in its queue
async def test_deleted_text_is_nowhere_and_the_rest_is_all_there(settings, folder, on_disk, count):
    def text(n: int, word: str) -> str:
        return f"{word}-{n} " * (LONG // len(word)) if n % 3 else f"{word}-{n}"

    async with open_chroma(settings, folder, dim=DIM, embedder_id="e") as shards:
        deleted = [record(f"d{n}", text(n, "canary-document"), m=text(n, "canary-metadata")) for n in range(count)]
        kept = [record(f"k{n}", text(n, "kept-document"), m=text(n, "kept-metadata")) for n in range(count)]
        await shards.add(KEY, [each for pair in zip(deleted, kept, strict=True) for each in pair])
        await shards.update_metadata(KEY, "k0", {"m": "canary-updated"})
        await shards.update_metadata(KEY, "k0", {"m": kept[0].metadata["m"]})
        assert on_disk("canary-document")
        await shards.delete(KEY, [each.id for each in deleted])
        await shards.purge()
        for word in ("canary-document", "canary-metadata", "canary-updated"):
            assert on_disk(word) == []
        await shards.add(KEY, [record("later", "added after the purge")])
    assert on_disk("canary") == []
    async with open_chroma(settings, folder, dim=DIM, embedder_id="e") as shards:
        found = await shards.get(KEY, [each.id for each in kept])
        assert [(r.document, r.metadata["m"]) for r in found] == [(k.document, k.metadata["m"]) for k in kept]
        assert len(await shards.find(KEY, {"scope": KEY})) == count + 1
        # Chroma's own vector search, which replays the queue, finds every record by its vector too
        shard = shards._shard(KEY)
        for each in kept:
            assert each.embedding is not None
            (ids,) = shard.query(query_embeddings=[each.embedding], n_results=1, include=[])["ids"]
            assert ids == [each.id]


async def test_reads_go_on_and_writes_wait_while_it_purges(chroma):
    await chroma.add(KEY, [record(f"w{n}", "text " * 100) for n in range(100)])
    purge = asyncio.create_task(chroma.purge())
    adds = asyncio.create_task(chroma.add(KEY, [record("new", "text")]))
    reads = 0
    while not purge.done():
        assert len(await chroma.get(KEY, ["w1", "w2"])) == 2
        reads += 1
    await adds
    assert reads > 0
    assert len(await chroma.find(KEY, {"scope": KEY})) == 101


async def test_a_write_that_waits_too_long_says_why(chroma, monkeypatch):
    with monkeypatch.context() as hurried:  # closing, later, takes the time it takes
        hurried.setattr(chroma_module, "_WRITE_SECONDS", 0.01)
        purge = asyncio.create_task(chroma.purge())
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable, match="much to write"):
            await chroma.add(KEY, [record("new", "text")])
        await purge


async def test_a_purge_that_fails_says_so(settings, folder, tmp_path):
    async with open_chroma(settings, folder, dim=DIM, embedder_id="e"):
        with pytest.raises(StoreUnavailable, match="cleaning the index failed: no such table"):
            await chroma_tools.run_tool("chroma_purge", tmp_path, 60)
