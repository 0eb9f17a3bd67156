"""Reserve, settle: never past a ceiling, never below the bill."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from server.errors import BudgetExceeded, GenerationDisabled, StoreUnavailable
from server.routing.ledger.ledger import MAX_AMOUNT, Ledger
from server.routing.spending import Outcome
from server.routing.types import Payer, Usage
from tests.routing.ledger.conftest import ANNA, ATTEMPT, BEN, Books

Open = Callable[..., Books]
DOLLAR = 1_000_000
DONE = Outcome("done", 1_420, Usage(900, 80, cached_tokens=700, reasoning_tokens=5))


async def test_what_was_put_aside_becomes_what_it_cost(books: Open) -> None:
    kept = books(daily_budget=1)
    hold = await kept.ledger().reserve(ANNA, ATTEMPT, 10_000)
    assert ((await kept.gauge()).spent, (await kept.gauge()).held) == (0, 10_000)
    await hold.settle(DONE)
    gauge = await kept.gauge()
    assert (gauge.spent, gauge.held, gauge.ceiling) == (1_420, 0, DOLLAR)
    (row,) = await kept.rows()
    assert row["user"] == "anna" and row["person"] != "anna"
    expected = {
        "turn": "turn-1",
        "rung": 1,
        "model": "vendor/model",
        "provider": "openrouter.ai",
        "mode": "romance",
        "purpose": "chat",
        "tier": "free",
        "status": "done",
        "basis": "told",
        "cost": "1420",
        "reserved": "10000",
        "prompt": "900",
        "completion": "80",
        "cached": "700",
        "reasoning": "5",
    }
    assert {name: row[name] for name in expected} == expected
    assert await kept.spent() == 1_420


@pytest.mark.parametrize(
    ("ceilings", "scope"),
    [
        ({"user": 0.01}, "user"),
        ({"tenant_daily_budget": 0.01}, "tenant"),
        ({"tenant_daily_budget": 5, "tenant_daily_budgets": {"home": 0.01}}, "tenant"),
        ({"daily_budget": 0.01}, "global"),
        ({"user": 0.01, "tenant_daily_budget": 0.01, "daily_budget": 0.01}, "user"),
    ],
)
async def test_a_ceiling_holds_to_the_last_micro_dollar(books: Open, ceilings: dict[str, object], scope: str) -> None:
    ledger = books(**ceilings).ledger()
    await ledger.reserve(ANNA, ATTEMPT, 9_999)
    with pytest.raises(BudgetExceeded) as refused:
        await ledger.reserve(ANNA, ATTEMPT, 2)
    assert (refused.value.status, refused.value.code, refused.value.details["scope"]) == (402, "budget_exceeded", scope)
    wait = refused.value.details["retry_after"]
    assert isinstance(wait, int) and 1 <= wait <= 86_400
    await ledger.reserve(ANNA, ATTEMPT, 1)
    await ledger.reserve(ANNA, ATTEMPT, 0)  # what costs nothing is never blocked


async def test_each_has_their_own_ceiling_and_plans_differ(books: Open) -> None:
    ledger = books(user=0.01, tenant_daily_budget=0.02).ledger()
    await ledger.reserve(ANNA, ATTEMPT, 10_000)
    await ledger.reserve(BEN, ATTEMPT, 10_000)
    await ledger.reserve(Payer("acme", "anna", "free"), ATTEMPT, 10_000)
    with pytest.raises(BudgetExceeded, match="account's"):
        await ledger.reserve(Payer("home", "cleo", "free"), ATTEMPT, 1)
    await ledger.reserve(Payer("acme", "anna", "plus"), ATTEMPT, 10_000)  # no ceiling of its own
    with pytest.raises(BudgetExceeded, match="Your"):
        await ledger.reserve(Payer("acme", "ben", "no-such-tier"), ATTEMPT, 10_001)


async def test_a_ceiling_of_zero_lets_through_what_costs_nothing(books: Open) -> None:
    ledger = books(daily_budget=0).ledger()
    with pytest.raises(BudgetExceeded):
        await ledger.reserve(ANNA, ATTEMPT, 1)
    await (await ledger.reserve(ANNA, ATTEMPT, 0)).settle(Outcome("done", 0))


async def test_a_ceiling_lowered_below_what_is_spent_blocks_and_recovers(books: Open) -> None:
    hold = await books(daily_budget=1).ledger().reserve(ANNA, ATTEMPT, 900_000)
    lowered = books(daily_budget=0.5)
    with pytest.raises(BudgetExceeded):
        await lowered.ledger().reserve(ANNA, ATTEMPT, 1)
    await lowered.ledger().reserve(ANNA, ATTEMPT, 0)
    await hold.settle(replace(DONE, cost=800_000))
    gauge = await lowered.gauge()
    assert (gauge.spent, gauge.held, gauge.ceiling) == (800_000, 0, 500_000)
    await books(daily_budget=2).ledger().reserve(ANNA, ATTEMPT, DOLLAR)


async def test_a_thousand_turns_at_once_spend_what_a_hundred_may(books: Open) -> None:
    kept = books(daily_budget=0.1, user=0.5)
    servers = [kept.ledger(f"server-{i}") for i in range(4)]
    highest = 0

    async def turn(i: int) -> bool:
        nonlocal highest
        try:
            hold = await servers[i % 4].reserve(Payer("home", f"user-{i % 50}", "free"), ATTEMPT, 1_000)
        except BudgetExceeded:
            return False
        gauge = await kept.gauge()
        highest = max(highest, gauge.spent + gauge.held)
        await hold.settle(replace(DONE, cost=1_000))
        return True

    admitted = await asyncio.gather(*(turn(i) for i in range(1_000)))
    assert sum(admitted) == 100
    assert highest == await kept.spent() == 100_000


@pytest.mark.parametrize("cost", [-1, -(10**9), MAX_AMOUNT + 1, 10**30, 10_000_001])
async def test_a_cost_that_cannot_be_is_not_believed(books: Open, cost: int) -> None:
    kept = books()
    hold = await kept.ledger(asks=()).reserve(ANNA, ATTEMPT, 5_000)
    await hold.settle(Outcome("done", cost))
    assert await kept.spent() == 5_000
    assert [row["basis"] for row in await kept.rows()] == ["reserve"]


async def test_a_cost_somewhat_above_the_reserve_counts_in_full(books: Open) -> None:
    kept = books(daily_budget=0.02)
    hold = await kept.ledger().reserve(ANNA, ATTEMPT, 5_000)
    await hold.settle(Outcome("done", 30_000))
    assert await kept.spent() == 30_000
    with pytest.raises(BudgetExceeded):
        await kept.ledger().reserve(ANNA, ATTEMPT, 1)


async def test_an_unknown_cost_without_an_id_is_the_reserve(books: Open) -> None:
    kept = books()
    await (await kept.ledger().reserve(ANNA, ATTEMPT, 5_000)).settle(Outcome("cut", None))
    assert [(row["cost"], row["basis"], row["status"]) for row in await kept.rows()] == [("5000", "reserve", "cut")]
    assert (await kept.gauge()).held == 0


async def test_only_the_first_settlement_counts(books: Open) -> None:
    kept = books()
    hold = await kept.ledger().reserve(ANNA, ATTEMPT, 5_000)
    await asyncio.gather(hold.settle(DONE), hold.settle(replace(DONE, cost=3)), hold.settle(DONE))
    assert await kept.spent() == 1_420


@pytest.mark.parametrize("amount", [-1, MAX_AMOUNT + 1])
async def test_no_one_reserves_what_cannot_be(books: Open, amount: int) -> None:
    with pytest.raises(ValueError, match="cannot reserve"):
        await books().ledger().reserve(ANNA, ATTEMPT, amount)


async def test_a_settlement_outlives_the_turn_that_is_cancelled(books: Open) -> None:
    kept = books()
    ledger = kept.ledger()
    hold = await ledger.reserve(ANNA, ATTEMPT, 5_000)
    task = asyncio.create_task(hold.settle(DONE))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await ledger.drain(5)
    assert await kept.spent() == 1_420


async def test_names_that_hold_separators_do_not_mix_up_sums(books: Open) -> None:
    kept = books()
    hold = await kept.ledger().reserve(ANNA, replace(ATTEMPT, model="odd|cost|9", mode=None), 5_000)
    await hold.settle(DONE)
    reader = kept.reader
    today = await reader.today()
    usage = await reader.of_user("home", "anna", today, today)
    assert {model: each.cost for model, each in usage.models.items()} == {"odd/cost/9": 1_420}
    assert (usage.total.attempts, usage.total.prompt_tokens, usage.total.completion_tokens) == (1, 900, 80)


async def test_a_store_that_is_away_blocks_and_settles_later(books: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = books(daily_budget=1)
    ledger = kept.ledger()
    hold = await ledger.reserve(ANNA, ATTEMPT, 5_000)
    monkeypatch.setattr("server.routing.ledger.ledger.RETRY_SECONDS", (0.02,))
    monkeypatch.setattr("server.routing.ledger.ledger.PATIENCE_SECONDS", 0.05)
    with monkeypatch.context() as away:
        away.setattr(kept.pair.state.connection_pool, "get_connection", _refuse)
        await kept.pair.busy.aclose()
        for amount in (5_000, 0):
            with pytest.raises(GenerationDisabled) as refused:
                await ledger.reserve(ANNA, ATTEMPT, amount)
            assert (refused.value.status, refused.value.code) == (503, "generation_disabled")
        await hold.identified("gen-1")
        await hold.settle(DONE)  # neither raises nor waits for ever
    await ledger.drain(5)
    assert ((await kept.gauge()).held, await kept.spent()) == (0, 1_420)


async def test_a_store_that_is_full_blocks_and_settles_when_there_is_room(
    books: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = books()
    ledger, state = kept.ledger(), kept.pair.state
    hold = await ledger.reserve(ANNA, ATTEMPT, 5_000)
    monkeypatch.setattr("server.routing.ledger.ledger.RETRY_SECONDS", (0.02,))
    monkeypatch.setattr("server.routing.ledger.ledger.PATIENCE_SECONDS", 0.05)
    await state.config_set("maxmemory", 1)
    try:
        with pytest.raises(GenerationDisabled):
            await ledger.reserve(ANNA, ATTEMPT, 5_000)
        await hold.settle(DONE)
        assert (await kept.gauge()).held == 5_000
    finally:
        await state.config_set("maxmemory", 0)
    await ledger.drain(5)
    assert ((await kept.gauge()).held, await kept.spent()) == (0, 1_420)


async def test_a_reserve_that_arrives_after_it_was_taken_back_does_nothing(books: Open) -> None:
    kept = books()
    ledger = kept.ledger()
    late: list[tuple[str | int, ...]] = []

    async def lose(name: str, *args: str | int) -> object:
        if name == "reserve":
            late.append(args)
            raise StoreUnavailable("no answer")
        return await run(name, *args)

    run = ledger.scripts.run
    ledger.scripts.run = lose
    with pytest.raises(GenerationDisabled):
        await ledger.reserve(ANNA, ATTEMPT, 5_000)
    await ledger.drain(5)
    with pytest.raises(ResponseError, match="taken back"):
        await run("reserve", *late[0])
    assert (await kept.gauge()).held == 0


async def test_a_reserve_whose_answer_was_lost_is_taken_back(books: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = books()
    ledger = kept.ledger()
    run = ledger.scripts.run

    async def lose(name: str, *args: str | int) -> object:
        answer = await run(name, *args)
        if name == "reserve":
            raise StoreUnavailable("no answer")
        return answer

    monkeypatch.setattr(ledger.scripts, "run", lose)
    with pytest.raises(GenerationDisabled):
        await ledger.reserve(ANNA, ATTEMPT, 5_000)
    await ledger.drain(5)
    gauge = await kept.gauge()
    assert (gauge.spent, gauge.held, await kept.rows()) == (0, 0, [])


async def test_a_deleted_person_leaves_a_pseudonym_and_gets_no_second_allowance(books: Open) -> None:
    kept = books(user=0.01)
    ledger: Ledger = kept.ledger()
    await (await ledger.reserve(ANNA, ATTEMPT, 10_000)).settle(replace(DONE, cost=10_000))
    under_way = await kept.ledger().reserve(ANNA, ATTEMPT, 0)
    await ledger.forget("home", "anna")
    await under_way.settle(Outcome("done", 0))
    names = [name async for name in kept.pair.state.scan_iter("*")]
    kinds = {name: await kept.pair.state.type(name) for name in names}
    for name, kind in kinds.items():
        assert "anna" not in name
        match kind:
            case "hash":
                assert "anna" not in str(await kept.pair.state.hgetall(name)), name
            case "stream":
                assert "anna" not in str(await kept.pair.state.xrange(name)), name
            case "zset":
                assert "anna" not in str(await kept.pair.state.zrange(name, 0, -1)), name
    assert [row["user"] for row in await kept.rows()] == [None, None]
    with pytest.raises(BudgetExceeded):
        await ledger.reserve(ANNA, ATTEMPT, 1)
    reader = kept.reader
    today = await reader.today()
    assert (await reader.of_user("home", "anna", today, today)).total.cost == 0


async def _refuse(*_: object, **__: object) -> None:
    raise RedisConnectionError("gone")
