"""Versions and the live pointer, on a real Valkey: also under two promoters at once."""

import asyncio
import hashlib
from collections.abc import Callable
from itertools import pairwise

import pytest

from server.chat.pictures.keys import Keys
from server.errors import Conflict, InvalidId, NotFound, StoreUnavailable
from server.loras.records import LoraFacts, LoraFile, LoraVersion
from server.loras.registry import Registry
from server.stores.redis import RedisPair

BASE = "3e15ba00387db678ab4a099f75771c4f5ac67fda9e7100a01d263eaf30145aa9"


def lora_file(content: str, **facts: object) -> LoraFile:
    sha256 = hashlib.sha256(content.encode()).hexdigest()
    weights = hashlib.sha256(content.encode() * 2).hexdigest()
    return LoraFile(
        sha256=sha256,
        weights_sha256=weights,
        auto_v2=sha256[:10],
        auto_v3=weights[:12],
        bytes=len(content),
        facts=LoraFacts.model_validate(facts),
    )


@pytest.fixture
def registry(redis_pair: RedisPair) -> Registry:
    return Registry(redis_pair.busy)


async def add(registry: Registry, name: str, *contents: str, tenant: str = "home") -> None:
    for content in contents:
        await registry.add(tenant, name, lora_file(content), by="owner")


async def test_versions_are_numbered_and_the_first_goes_live(registry: Registry) -> None:
    first, new = await registry.add("home", "halina", lora_file("a", dim=32), by="owner", notes="of the first photos")
    await add(registry, "halina", "b")

    assert (first.version, new) == (1, True)
    assert await registry.live("home", "halina") == LoraVersion("halina", 1, lora_file("a").sha256)
    assert [(each.version, each.live) for each in await registry.list("home", "halina")] == [(2, False), (1, True)]
    assert await registry.get("home", "halina", 1) == first


async def test_no_name_of_a_tenant_or_character_makes_a_key_of_another_kind(
    registry: Registry, redis_pair: RedisPair
) -> None:
    """A tenant may be called like the keys of pictures, and a character like one of them."""
    pictures = Keys.of("loras", "moves")
    await redis_pair.state.sadd(pictures.shown, "a picture")
    await add(registry, "shown", "a", tenant="pictures")
    assert [move.to for move in await registry.moves("pictures", "shown")] == [1]
    assert await redis_pair.state.smembers(pictures.shown) == {"a picture"}
    theirs = [key async for key in redis_pair.state.scan_iter("vestige:pictures:*")]
    assert theirs == [pictures.shown]


async def test_the_same_file_twice_is_one_version(registry: Registry) -> None:
    await add(registry, "halina", "a", "b")
    again, new = await registry.add("home", "halina", lora_file("a"), by="key:1", notes="something else")

    assert (again.version, again.notes, again.added_by, new) == (1, "", "owner", False)
    assert len(await registry.list("home", "halina")) == 2


async def test_a_file_may_be_two_characters(registry: Registry) -> None:
    await add(registry, "halina", "a")
    await add(registry, "her-twin", "a")
    assert await registry.live("home", "her-twin") == LoraVersion("her-twin", 1, lora_file("a").sha256)


async def test_a_record_keeps_everything(registry: Registry) -> None:
    file = lora_file("a", dim=32, alpha=16.0, steps=740, tags=(("1girl", 204), ("smile", 20)), base_sha256=BASE)
    await registry.add("home", "halina", file, by="owner", notes="n", training="[network]", dataset_report="0" * 64)
    record = await registry.get("home", "halina", 1)

    assert record.file == file
    assert (record.notes, record.training, record.dataset_report) == ("n", "[network]", "0" * 64)


async def test_promoting_and_going_back(registry: Registry) -> None:
    await add(registry, "halina", "a", "b", "c")
    told: list[tuple[str, LoraVersion]] = []

    async def listener(tenant: str, version: LoraVersion) -> None:
        told.append((tenant, version))

    registry.on_move(listener)
    await registry.promote("home", "halina", 2, by="owner")
    await registry.promote("home", "halina", 3, by="owner")
    await registry.promote("home", "halina", 3, by="owner")  # which changes nothing
    back = await registry.rollback("home", "halina", by="key:1")
    await registry.rollback("home", "halina", by="key:1")

    assert (back.before, back.to, back.by) == (3, 2, "key:1")
    assert [version.version for _, version in told] == [2, 3, 2, 1]
    assert [(move.before, move.to) for move in await registry.moves("home", "halina")] == [
        (2, 1), (3, 2), (2, 3), (1, 2), (None, 1),
    ]  # fmt: skip
    with pytest.raises(Conflict, match="No other version of halina was live before v1"):
        await registry.rollback("home", "halina", by="owner")


async def test_a_listener_that_fails_does_not_undo_the_move(registry: Registry) -> None:
    async def listener(tenant: str, version: LoraVersion) -> None:
        raise StoreUnavailable("the queue is away", store="memory")

    registry.on_move(listener)
    await add(registry, "halina", "a", "b")
    assert (await registry.promote("home", "halina", 2, by="owner")).to == 2


async def test_moving_only_from_the_version_one_saw(registry: Registry) -> None:
    await add(registry, "halina", "a", "b", "c")
    await registry.promote("home", "halina", 2, by="owner", if_live=1)
    for move in (
        registry.promote("home", "halina", 3, by="owner", if_live=1),
        registry.rollback("home", "halina", by="owner", if_live=1),
    ):
        with pytest.raises(Conflict, match="v2 of halina is live meanwhile") as refused:
            await move
        assert refused.value.details == {"live": 2}


@pytest.mark.parametrize("tries", range(5))
async def test_of_two_promoters_who_saw_the_same_one_wins(registry: Registry, tries: int) -> None:
    await add(registry, "halina", *"abc")
    outcomes = await asyncio.gather(
        *(registry.promote("home", "halina", version, by="owner", if_live=1) for version in (2, 3)),
        return_exceptions=True,
    )
    live = await registry.live("home", "halina")
    assert sorted(type(each).__name__ for each in outcomes) == ["Conflict", "Move"]
    assert live is not None
    assert live.version == next(each.to for each in outcomes if not isinstance(each, BaseException))


async def test_many_at_once_leave_a_true_history(registry: Registry) -> None:
    await asyncio.gather(*(add(registry, "halina", str(each)) for each in range(8)), add(registry, "zoe", "z"))
    moving: list[Callable[[], object]] = [
        lambda: registry.rollback("home", "halina", by="x"),
        *(lambda version=version: registry.promote("home", "halina", version, by="x") for version in range(1, 9)),
    ]
    seen = await asyncio.gather(
        *(move() for _ in range(4) for move in moving),  # type: ignore[misc]
        *(registry.live("home", "halina") for _ in range(50)),
        return_exceptions=True,
    )
    there = {(each.version, each.sha256) for each in await registry.list("home", "halina")}
    moves = list(reversed(await registry.moves("home", "halina")))
    live = await registry.live("home", "halina")

    assert {number for number, _ in there} == set(range(1, 9))
    assert {(each.version, each.sha256) for each in seen if isinstance(each, LoraVersion)} <= there
    assert all(after.before == before.to for before, after in pairwise(moves))
    assert live is not None and live.version == moves[-1].to
    assert [(each.version, each.live) for each in await registry.list("home", "zoe")] == [(1, True)]


async def test_tenants_do_not_see_each_other(registry: Registry) -> None:
    await add(registry, "halina", "a")
    await add(registry, "halina", "b", "a", tenant="acme")

    assert [(each.name, each.version) for each in await registry.list("home")] == [("halina", 1)]
    assert await registry.live("acme", "halina") == LoraVersion("halina", 1, lora_file("b").sha256)
    with pytest.raises(NotFound):
        await registry.promote("home", "halina", 2, by="owner")


async def test_the_list_is_by_name_and_newest_first(registry: Registry) -> None:
    for name in ("zoe", "ania", "halina"):
        await add(registry, name, *(f"{name}{each}" for each in range(11)))
    found = await registry.list("home")
    assert [(each.name, each.version) for each in found] == [
        (name, version) for name in ("ania", "halina", "zoe") for version in range(11, 0, -1)
    ]


async def test_what_is_not_there(registry: Registry) -> None:
    assert await registry.live("home", "nobody") is None
    assert await registry.list("home", "nobody") == []
    assert await registry.list("home") == []
    with pytest.raises(NotFound, match="There is no LoRA of nobody: add one with `vestige lora add nobody FILE`"):
        await registry.rollback("home", "nobody", by="owner")
    await add(registry, "halina", "a")
    with pytest.raises(NotFound, match="There is no v2 of halina"):
        await registry.promote("home", "halina", 2, by="owner")
    with pytest.raises(NotFound, match="There is no v7 of halina"):
        await registry.get("home", "halina", 7)


@pytest.mark.parametrize("name", ["", "../x", "a/b", "Halina", "halina@1", "a b", "x" * 65])
async def test_a_name_is_an_id(registry: Registry, name: str) -> None:
    with pytest.raises(InvalidId):
        await registry.add("home", name, lora_file("a"), by="owner")
    with pytest.raises(InvalidId):
        await registry.live("home", name)


async def test_hot_characters(registry: Registry) -> None:
    await add(registry, "halina", "a")
    await registry.set_hot("home", "halina", True)
    assert await registry.hot("home") == {"halina"}
    assert await registry.hot("acme") == frozenset()
    await registry.set_hot("home", "halina", False)
    assert await registry.hot("home") == frozenset()
    with pytest.raises(NotFound):
        await registry.set_hot("home", "nobody", True)
