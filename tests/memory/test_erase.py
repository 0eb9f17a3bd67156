"""People take everything with them, and everything out: nothing of it is left, down to the bytes on the disk."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from server.errors import NotFound, StoreUnavailable
from server.ids import Scope
from server.memory.embedding import HashEmbedder
from server.memory.keys import GARBAGE, SCOPES, Keys
from server.memory.messages import Role, Status
from server.memory.service import Memory
from server.memory.views import DeletedCounts, Idempotency, Speakers
from server.stores.chroma import ChromaShards
from server.stores.redis import RedisPair
from server.stores.scrub import scrubbed_environment
from tests.memory.deletion_proof import live_a_little
from tests.memory.fakes import Faulty, Scribe, window_answer

NAMES = Speakers("Ann", "Mira")


async def traces(redis: RedisPair, chroma: ChromaShards, owner: str) -> list[str]:
    """Whatever is left of a person in the stores."""
    tenant, user = owner.split("/")
    names = [*await redis.state.keys("*"), *await redis.cache.keys("*")]
    for key in (SCOPES, GARBAGE):
        names += await redis.state.zrange(key, 0, -1)
    records = await chroma.find(owner, {"user": user})
    return [
        *(str(name) for name in names if f"{{{owner}/" in str(name) or str(name).startswith(f"{owner}/")),
        *(record.id for record in records if record.metadata["tenant"] == tenant),
    ]


async def test_deleting_a_person_leaves_everyone_else(
    make_memory: Callable[..., Memory], redis_pair: RedisPair, chroma: ChromaShards
) -> None:
    memory = make_memory(model=Scribe(window_answer("About it.", "A fact.")))
    gone = [Scope("home", "ann", "mira"), Scope("home", "ann", "otto")]
    others = [Scope("home", "ann2", "mira"), Scope("home", "an", "mira"), Scope("work", "ann", "mira")]
    for scope in (*gone, *others):
        await live_a_little(memory, scope, f"canary-{scope.user}")
    before = {scope: await memory.export(scope) for scope in others}
    assert await memory.delete_user("home", "ann") == DeletedCounts(2, 48)
    assert await traces(redis_pair, chroma, "home/ann") == []
    assert {scope: await memory.export(scope) for scope in others} == before
    assert await memory.delete_user("home", "ann") == DeletedCounts(0, 0)
    for scope in gone:
        assert (await memory.history(scope)).messages == ()
        assert (await memory.recall(scope, "canary", speakers=NAMES, budget_tokens=100)).spans == ()


async def test_clearing_one_character_leaves_the_others(
    make_memory: Callable[..., Memory], redis_pair: RedisPair, chroma: ChromaShards
) -> None:
    memory = make_memory()
    mira, otto = Scope("home", "ann", "mira"), Scope("home", "ann", "otto")
    await live_a_little(memory, mira, "canary")
    await live_a_little(memory, otto, "robin")
    before = await memory.export(otto)
    assert await memory.clear(mira) == DeletedCounts(1, 24)
    assert await memory.export(otto) == before
    assert await memory.pins(mira) == []
    assert not [trace for trace in await traces(redis_pair, chroma, "home/ann") if "mira" in trace]
    key = Idempotency(hashlib.sha256(b"canary0").hexdigest(), "another body")
    turn = await memory.begin_turn(mira, "Hello again", idempotency=key)
    assert not turn.replayed and turn.reply.seq == 2


async def test_a_record_that_no_list_names_goes_too(
    memory: Memory, scope: Scope, redis_pair: RedisPair, chroma: ChromaShards
) -> None:
    await live_a_little(memory, scope, "canary")
    stray = (await chroma.find(str(scope), {"scope": str(scope)}))[0]
    embedding = (await HashEmbedder().embed(["x"], "passage"))[0]
    await chroma.add(str(scope), [replace(stray, id="win-stray", embedding=embedding)])
    await memory.clear(scope)
    assert await traces(redis_pair, chroma, scope.owner) == []


async def test_a_deletion_that_fails_halfway_is_finished_by_the_same_call(
    make_memory: Callable[..., Memory], scope: Scope, redis_pair: RedisPair, chroma: ChromaShards
) -> None:
    await live_a_little(make_memory(), scope, "canary")

    async def gone() -> None:
        raise StoreUnavailable("The index failed.", store="index")

    with pytest.raises(StoreUnavailable):
        await make_memory(chroma=Faulty(chroma, "delete", gone)).delete_user("home", "ann")
    memory = make_memory()
    await memory.delete_user("home", "ann")
    await memory.upkeep(scope)
    assert await traces(redis_pair, chroma, scope.owner) == []


def test_nothing_is_left_in_any_byte_under_the_data_folder(tmp_path: Path) -> None:
    """A canary in messages, alternatives, pins, facts, summaries and a correction, taken out in three ways."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.memory.deletion_proof", str(tmp_path)],
        env=scrubbed_environment(os.environ),
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    for files in json.loads(done.stdout.splitlines()[-1]).values():
        assert any("redis" in name for name in files["before"]) and any("chroma" in name for name in files["before"])
        assert files["after"] == files["closed"] == []


async def test_an_export_holds_everything(make_memory: Callable[..., Memory], scope: Scope) -> None:
    memory = make_memory(model=Scribe(window_answer("About it.", "A fact."), "The picture."))
    await live_a_little(memory, scope, "canary")
    turn = await memory.begin_turn(scope, "the last word")
    data = json.loads(json.dumps(await memory.export(scope)))
    assert data["character"] == "mira" and data["epoch"] == turn.epoch and data["format"] == "vestige-memory/1"
    assert [message["id"] for message in data["messages"]] == [f"{turn.epoch}-{seq}" for seq in range(1, 27)]
    said = data["messages"][3]
    assert said["role"] == "assistant" and said["chosen"] == 1
    assert [each["text"] for each in said["alternatives"]] == ["canary fill 1", "canary add 1"]
    assert data["messages"][0]["alternatives"][0]["text"] == "canary edited" and data["messages"][0]["edited"]
    assert data["messages"][-1]["alternatives"][0]["status"] == "pending"
    assert len(data["windows"]) == 5
    for window in data["windows"]:
        assert (window["summary"], window["facts"]) == ("About it.", ["A fact."])
    assert [pin["text"] for pin in data["pins"]] == ["canary pinned", "canary asks 0"]
    assert data["summary"]["text"] == data["correction"]["text"] == "canary corrected"

    await live_a_little(memory, Scope("home", "ann", "otto"), "robin")
    await live_a_little(memory, Scope("home", "bob", "mira"), "magpie")
    everything = await memory.export_user("home", "ann")
    assert [each["character"] for each in everything["conversations"]] == ["mira", "otto"]
    assert "magpie" not in json.dumps(everything)
    assert await memory.export_user("home", "nobody") == {"user": "nobody", "conversations": []}


async def test_a_reset_begins_anew(
    make_memory: Callable[..., Memory], scope: Scope, redis_pair: RedisPair, chroma: ChromaShards
) -> None:
    memory = make_memory(model=Scribe(window_answer("About it.", "A fact.")))
    await live_a_little(memory, scope, "canary")
    old = (await memory.history(scope, limit=100)).messages
    epoch = await memory.epoch(scope)
    assert await memory.reset(scope) == epoch + 1 == await memory.epoch(scope)
    assert (await memory.history(scope)).messages == () and (await memory.windows(scope)).total == 0
    assert await memory.summary(scope) is None and await memory.recent(scope, max_tokens=1_000) == []
    for message in old:
        with pytest.raises(NotFound):
            await memory.message(scope, message.id)
    assert await chroma.find(str(scope), {"scope": str(scope)}) == []
    assert "canary" not in str(await redis_pair.cache.keys("*hot"))
    assert [pin.text for pin in await memory.pins(scope)] == ["canary pinned"]
    turn = await memory.begin_turn(scope, "Who are you?")
    assert turn.epoch == epoch + 1 and turn.user is not None and turn.user.seq == 1
    assert turn.reply.status is Status.PENDING
    assert await redis_pair.state.exists(Keys.of(scope).todo, Keys.of(scope).attempts) == 0


async def test_the_record_of_who_said_what_survives_a_new_server(
    make_memory: Callable[..., Memory], scope: Scope
) -> None:
    memory = make_memory()
    await live_a_little(memory, scope, "canary")
    await memory.append(scope, Role.USER, "and the tail")
    before = await memory.export(scope)
    await memory.aclose()
    assert await make_memory().export(scope) == before
