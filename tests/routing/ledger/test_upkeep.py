"""Attempts whose end nobody told: cut, aborted, or of a server that died. The provider's record settles them."""

import asyncio
import time
from collections.abc import Callable

import pytest

from server.errors import BudgetExceeded, ModelUnavailable
from server.routing.ledger.ledger import Ledger
from server.routing.ledger.upkeep import GIVE_UP_SECONDS, OLDEST_SECONDS, Upkeep, running
from server.routing.spending import Outcome
from server.routing.types import Usage
from tests.routing.ledger.conftest import ANNA, ATTEMPT, Books, Records

Open = Callable[..., Books]
CUT = Outcome("cut", None, Usage(900, 12))


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider is asked at once."""
    monkeypatch.setattr("server.routing.ledger.ledger.ASK_AFTER_MS", 0)
    monkeypatch.setattr("server.routing.ledger.upkeep.DELAYS", (0.0,))


async def test_a_stream_that_was_cut_costs_what_the_providers_record_says(books: Open) -> None:
    kept, records = books(), Records({"gen-1": [None, ModelUnavailable("away"), 777]})
    ledger = kept.ledger()
    hold = await ledger.reserve(ANNA, ATTEMPT, 5_000)
    await hold.identified("gen-1")
    await hold.settle(CUT)
    gauge = await kept.gauge()
    assert (gauge.spent, gauge.held) == (0, 5_000)  # charged until it is known
    await Upkeep(ledger, records).ask()
    assert (await kept.spent(), (await kept.gauge()).held) == (777, 0)
    (row,) = await kept.rows()
    assert (row["status"], row["basis"], row["completion"]) == ("cut", "asked", "12")
    assert records.asked == ["gen-1"] * 3
    assert await kept.pair.state.zcard("vestige:{money}:due") == 0


@pytest.mark.parametrize("identified", [True, False])
async def test_what_a_dead_server_left_is_settled_by_another(books: Open, identified: bool) -> None:
    kept, records = books(), Records({"gen-1": [777]})
    dead, alive = kept.ledger("dead"), kept.ledger("alive")
    await Upkeep(dead, records, lease=0.02).beat()
    hold = await dead.reserve(ANNA, ATTEMPT, 5_000)
    if identified:
        await hold.identified("gen-1")
    await asyncio.sleep(0.03)
    upkeep = Upkeep(alive, records)
    await upkeep.beat()
    await upkeep.ask()
    assert (await kept.spent(), (await kept.gauge()).held) == (777 if identified else 5_000, 0)
    (row,) = await kept.rows()
    assert (row["status"], row["basis"]) == ("lost", "asked" if identified else "reserve")
    assert await kept.pair.state.zrange("vestige:{money}:servers", 0, -1) == ["alive"]


async def test_a_live_servers_holds_are_left_alone_unless_no_attempt_can_be_so_old(books: Open) -> None:
    kept = books()
    one, two = kept.ledger("one"), kept.ledger("two")
    await Upkeep(one, None).beat()
    hold = await one.reserve(ANNA, ATTEMPT, 5_000)
    await Upkeep(two, None).beat()
    assert (await kept.gauge()).held == 5_000
    await kept.pair.state.zincrby("vestige:{money}:open:one", -1000 * OLDEST_SECONDS, hold.id)
    await Upkeep(two, None).beat()
    assert (await kept.gauge()).held == 5_000
    await Upkeep(one, None).beat()
    assert (await kept.spent(), (await kept.gauge()).held) == (5_000, 0)


@pytest.mark.parametrize(("cost", "rows"), [(1_420, 2), (5_000, 1), (None, 1)])
async def test_a_server_that_was_only_slow_corrects_what_was_taken_for_lost(
    books: Open, cost: int | None, rows: int
) -> None:
    kept = books()
    slow, other = kept.ledger("slow", asks=()), kept.ledger("other", asks=())
    await Upkeep(slow, None, lease=0.02).beat()
    hold = await slow.reserve(ANNA, ATTEMPT, 5_000)
    await asyncio.sleep(0.03)
    await Upkeep(other, None).beat()
    assert await kept.spent() == 5_000
    await hold.settle(Outcome("done", cost))
    assert await kept.spent() == (5_000 if cost is None else cost)
    assert len(await kept.rows()) == rows
    reader = kept.reader
    today = await reader.today()
    assert (await reader.of_user("home", "anna", today, today)).total.attempts == 1


async def test_what_is_told_while_the_provider_is_asked_counts_once(books: Open) -> None:
    kept, records = books(), Records({"gen-1": [None]})
    dead, other = kept.ledger("dead"), kept.ledger("other")
    await Upkeep(dead, records, lease=0.02).beat()
    hold = await dead.reserve(ANNA, ATTEMPT, 5_000)
    await hold.identified("gen-1")
    await asyncio.sleep(0.03)
    await Upkeep(other, records).beat()
    await hold.settle(Outcome("done", 1_420))
    records.costs["gen-1"] = [9_999]
    await Upkeep(other, records).ask()
    assert await kept.spent() == 1_420


async def test_after_a_day_without_a_record_the_reserve_counts(books: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, records = books(), Records()
    ledger = kept.ledger()
    hold = await ledger.reserve(ANNA, ATTEMPT, 5_000)
    await hold.identified("gen-1")
    await hold.settle(CUT)
    monkeypatch.setattr("server.routing.ledger.upkeep.DELAYS", (60.0,))
    await Upkeep(ledger, records).ask()
    assert (await kept.gauge()).held == 5_000
    monkeypatch.setattr("server.routing.ledger.upkeep.GIVE_UP_SECONDS", 0.0)
    await kept.pair.state.zadd("vestige:{money}:due", {hold.id: 0})
    await Upkeep(ledger, records).ask()
    assert (await kept.spent(), records.asked) == (5_000, ["gen-1"] * 2)
    assert GIVE_UP_SECONDS > 3_600


async def test_two_servers_ask_about_a_generation_once(books: Open) -> None:
    kept, records = books(), Records({f"gen-{i}": [10] for i in range(40)})
    ledger = kept.ledger()
    for i in range(40):
        hold = await ledger.reserve(ANNA, ATTEMPT, 5_000)
        await hold.identified(f"gen-{i}")
        await hold.settle(CUT)
    upkeeps = [Upkeep(kept.ledger(f"server-{i}"), records) for i in range(3)]
    await asyncio.gather(*(upkeep.ask() for upkeep in upkeeps))
    assert sorted(records.asked) == sorted(records.costs)
    assert await kept.spent() == 400


async def test_a_hold_that_spans_midnight_belongs_to_the_day_it_was_reserved(books: Open) -> None:
    kept = books(daily_budget=0.01)
    hold = await kept.ledger().reserve(ANNA, ATTEMPT, 9_000)
    state, reader = kept.pair.state, kept.reader
    today = await reader.today()
    number = int(await state.hget(f"vestige:{{money}}:hold:{hold.id}", "day") or 0)
    # midnight passes: what was today is yesterday
    await state.hset(f"vestige:{{money}}:hold:{hold.id}", "day", str(number - 1))
    await state.rename(f"vestige:{{money}}:day:{number}", f"vestige:{{money}}:day:{number - 1}")
    await kept.ledger().reserve(ANNA, ATTEMPT, 9_000)  # a new day has its whole allowance
    await hold.settle(Outcome("done", 8_000))
    gauge = await kept.gauge()
    assert (gauge.spent, gauge.held) == (0, 9_000)
    yesterday = today.fromordinal(today.toordinal() - 1)
    assert (await reader.of_user("home", "anna", yesterday, yesterday)).total.cost == 8_000
    assert (await reader.of_user("home", "anna", today, today)).total.cost == 0
    assert await state.hmget(f"vestige:{{money}}:day:{number - 1}", "all", "all:held") == ["8000", "0"]


@pytest.mark.parametrize("off", [-86_400, 86_400, 10**9])
async def test_a_server_whose_clock_is_wrong_charges_the_same_day(
    books: Open, monkeypatch: pytest.MonkeyPatch, off: int
) -> None:
    kept = books(daily_budget=0.01)
    await kept.ledger().reserve(ANNA, ATTEMPT, 9_000)
    right = time.time()
    monkeypatch.setattr(time, "time", lambda: right + off)
    with pytest.raises(BudgetExceeded):
        await kept.ledger("skewed").reserve(ANNA, ATTEMPT, 9_000)
    assert (await kept.gauge()).held == 9_000


async def test_a_stopped_server_leaves_its_holds_to_the_next_at_once(books: Open) -> None:
    kept, records = books(), Records({"gen-1": [777]})
    async with running(Upkeep(first := kept.ledger("first"), records)):
        hold = await first.reserve(ANNA, ATTEMPT, 5_000)
        await hold.identified("gen-1")
    async with running(second := Upkeep(kept.ledger("second"), records)):
        await second.ask()
    assert await kept.spent() == 777


async def test_everything_it_keeps_ends_some_day(books: Open) -> None:
    """But for who is who, which goes with the person, and the list of living servers."""
    kept = books(daily_budget=1, user=0.002)
    ledger: Ledger = kept.ledger(tells=True)
    await Upkeep(ledger, None).beat()
    await (await ledger.reserve(ANNA, ATTEMPT, 2_000)).settle(Outcome("done", 1_999))
    await (await ledger.reserve(ANNA, ATTEMPT, 0)).settle(Outcome("cut", None))
    lasting = {name async for name in kept.pair.state.scan_iter("*") if await kept.pair.state.ttl(name) < 0}
    assert lasting == {f"vestige:{{money}}:{name}" for name in ("people", "names", "servers", "news")}
    for name in [name async for name in kept.pair.state.scan_iter("*")]:
        assert await kept.pair.state.ttl(name) <= 36 * 86_400
