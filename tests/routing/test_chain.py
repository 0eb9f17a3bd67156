"""Whom a chain asks, for how long, what it costs, and how it ends."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from structlog.testing import capture_logs

from server.errors import BudgetExceeded, InvalidRequest, ModelError, ModelExhausted, ModelTimeout
from server.routing.breaker import shared as breaker_module
from server.routing.journal import Journal
from server.routing.types import Token, Usage
from tests.fakes.openai_server import Hold, NoAnswer, Pause, Say, Send, Stream, breaks, fails, says, silent
from tests.harness import until
from tests.routing.chains import BACKUP, LAST, ONE_CHAIN, PAYER, PRIMARY, Book, House, make_request, streamed

Open = Callable[..., AbstractAsyncContextManager[House]]
KEY = "sk-or-0123456789abcd"


def policy(*changes: tuple[str, str]) -> str:
    text = ONE_CHAIN
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


# whom


async def test_the_mode_chooses_the_chain(house: House) -> None:
    assert (await house.ask()).finished.model == PRIMARY
    assert (await house.ask(mode="everyday")).finished.model == PRIMARY
    assert (await house.ask(mode="late")).finished.model == LAST
    assert [entry.mode for entry in house.entries] == ["everyday", "everyday", "late"]


async def test_an_unknown_mode_is_a_typed_400_and_nobody_is_asked(house: House) -> None:
    for mode in ("laet", "LATE", "x" * 500):
        for ask in (house.chain.complete(make_request(mode=mode)), streamed(house.chain, make_request(mode=mode))):
            with pytest.raises(InvalidRequest, match="no such mode") as caught:
                await ask
            assert caught.value.details == {"field": "mode", "modes": ["everyday", "late"]}
    assert house.fake.asked == []


async def test_a_tier_that_is_no_more_gets_the_default_ones_chain(house: House) -> None:
    assert (await house.ask(tier="abolished")).finished.model == PRIMARY


async def test_an_admin_may_name_the_first_or_all(house: House) -> None:
    house.fake.offer("delta/four")
    for model in (PRIMARY, LAST, "delta/four"):
        house.fake.always(model, fails(503))
    said = await house.ask(primary="three")
    assert [tried.model for tried in said.finished.attempts] == [LAST, BACKUP]
    said = await house.ask(chain=["delta/four", "two"])
    assert [tried.model for tried in said.finished.attempts] == ["delta/four", BACKUP]
    assert [entry.label for entry in house.entries[-2:]] == ["other", BACKUP]
    with pytest.raises(InvalidRequest):
        await house.ask(primary="no such\nmodel")


async def test_what_a_model_is_sent(open_chain: Open) -> None:
    text = policy(
        (
            'id = "alpha/one"',
            'id = "alpha/one"\nmax_price = {prompt = 3, completion = 6}\nmax_tokens = 300\ntemperature = 0.7\n'
            'preferences = {order = ["x"], allow_fallbacks = false, data_collection = "deny", sort = "latency"}',
        )
    )
    async with open_chain(policy=text) as house:
        await house.ask(max_tokens=500)
        await house.ask(max_tokens=100, temperature=0.2)
        await house.ask(mode="late")
    first, second, third = (request.body for request in house.fake.requests)
    assert first["provider"] == {
        "order": ["x"],
        "allow_fallbacks": False,
        "data_collection": "deny",
        "sort": "latency",
        "max_price": {"prompt": 3.0, "completion": 6.0},
    }
    assert [(body["max_tokens"], body.get("temperature")) for body in (first, second, third)] == [
        (300, 0.7),
        (100, 0.2),
        (800, None),
    ]
    assert "provider" not in third


async def test_summaries_have_their_own_chain(open_chain: Open) -> None:
    async with open_chain(policy=ONE_CHAIN + '[summary]\nchain = ["three"]\n') as house:
        assert (await house.ask(purpose="summary", tier="free")).finished.model == LAST
        assert house.entries[0].purpose == "summary"
        [(payer, attempt, _)] = house.book.reserved
        assert (payer, attempt.purpose, attempt.mode) == (PAYER, "summary", None)


# how it ends


async def test_when_nobody_answers_the_end_is_polite_and_asks_for_something_shorter(house: House) -> None:
    house.fake.always(PRIMARY, Stream((), finish="content_filter"))
    house.fake.always(BACKUP, Stream((Say("No", "refusal"),)))
    for whole in (False, True):
        error = (await house.ask("my secret", whole=whole)).error
        assert isinstance(error, ModelExhausted)
        assert "shorter or clearer" in error.message
        attempts = error.details["attempts"]
        assert isinstance(attempts, list)
        assert [(one["rung"], one["model"], one["outcome"]) for one in attempts] == [
            (1, PRIMARY, "content_filter"),
            (2, BACKUP, "refusal"),
        ]
        assert "secret" not in f"{error} {error.details}"
        assert "retry_after" not in error.details


async def test_the_end_says_when_the_first_of_them_may_be_asked_again(house: House) -> None:
    house.fake.always(PRIMARY, fails(429, retry_after=30))
    house.fake.always(BACKUP, fails(503, retry_after=12))
    error = (await house.ask()).error
    assert isinstance(error, ModelExhausted)
    assert error.details["retry_after"] == 12


async def test_an_error_that_stops_the_chain_says_which_way_led_to_it(house: House) -> None:
    house.fake.always(PRIMARY, fails(503))
    house.fake.always(BACKUP, fails(401))
    error = (await house.ask()).error
    assert error.code == "model_misconfigured"
    assert [one["outcome"] for one in error.details["attempts"]] == ["unavailable", "misconfigured"]  # type: ignore[attr-defined]


# for how long


async def test_a_hanging_primary_leaves_time_for_the_next(open_chain: Open) -> None:
    async with open_chain(policy=policy(("first_token_seconds = 5", "first_token_seconds = 2"))) as house:
        house.fake.always(PRIMARY, silent())
        house.fake.always(BACKUP, "Backup.")
        began = time.monotonic()
        said = await house.ask()
        assert said.text == "Backup."
        assert 0.9 < time.monotonic() - began < 2


async def test_thinking_is_no_first_token(open_chain: Open) -> None:
    thinking = Stream(tuple(step for _ in range(100) for step in (Say("hm", "reasoning"), Pause(0.05))))
    async with open_chain(policy=policy(("first_token_seconds = 5", "first_token_seconds = 0.6"))) as house:
        house.fake.always(PRIMARY, thinking)
        house.fake.always(BACKUP, thinking)
        assert isinstance((await house.ask()).error, ModelExhausted)
        assert [entry.outcome for entry in house.entries] == ["timeout", "timeout"]


async def test_all_rungs_share_the_whole_time(open_chain: Open) -> None:
    text = policy(("first_token_seconds = 5\ntotal_seconds = 20", "first_token_seconds = 0.8\ntotal_seconds = 1"))
    drip = Stream(tuple(step for _ in range(100) for step in (Say("word "), Pause(0.05))))
    async with open_chain(policy=text) as house:
        house.fake.always(PRIMARY, silent())
        house.fake.always(BACKUP, drip)
        began = time.monotonic()
        said = await house.ask()
        assert isinstance(said.error, ModelTimeout)
        assert said.error.details["partial"] is True
        assert time.monotonic() - began < 3
        assert [entry.outcome for entry in house.entries] == ["timeout", "cut_off"]


# the breaker


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read of the breaker is not remembered."""
    monkeypatch.setattr(breaker_module, "LOOK_SECONDS", -1.0)


@pytest.mark.usefixtures("forgetful")
async def test_a_model_that_keeps_failing_is_passed_by(house: House) -> None:
    house.fake.always(PRIMARY, fails(503))
    house.fake.always(BACKUP, "Backup.")
    for _ in range(6):
        assert (await house.ask()).text == "Backup."
    assert house.fake.asked.count(PRIMARY) == 3
    said = await house.ask()
    assert [tried.outcome for tried in said.finished.attempts] == ["resting", "answered"]
    assert said.finished.attempt == 2
    other = house.providers.chain(house.breaker, Journal())
    await streamed(other, make_request())
    assert house.fake.asked.count(PRIMARY) == 3


@pytest.mark.usefixtures("forgetful")
async def test_retry_after_is_honoured(house: House) -> None:
    house.fake.script(PRIMARY, fails(429, retry_after=60))
    for _ in range(4):
        await house.ask()
    assert house.fake.asked == [PRIMARY, BACKUP, BACKUP, BACKUP, BACKUP]


@pytest.mark.usefixtures("forgetful")
async def test_refusals_and_our_own_mistakes_rest_nobody(house: House) -> None:
    house.fake.always(PRIMARY, Stream((), finish="content_filter"))
    for _ in range(5):
        await house.ask()
    house.fake.always(PRIMARY, fails(401))
    for _ in range(5):
        await house.ask()
    assert house.fake.asked.count(PRIMARY) == 10


@pytest.mark.usefixtures("forgetful")
async def test_when_all_rest_the_end_comes_at_once_and_says_for_how_long(house: House) -> None:
    house.fake.script(PRIMARY, fails(503, retry_after=50))
    house.fake.script(BACKUP, fails(503, retry_after=20))
    await house.ask()
    error = (await house.ask()).error
    assert isinstance(error, ModelExhausted)
    assert 15 < error.details["retry_after"] <= 20  # type: ignore[operator]
    assert len(house.fake.asked) == 2


@pytest.mark.usefixtures("forgetful")
async def test_a_probe_that_cannot_be_paid_for_leaves_the_place_to_another(open_chain: Open) -> None:
    text = ONE_CHAIN + "[breaker]\nfailures = 1\nrest_seconds = 0.05\n"
    async with open_chain(policy=text, book=Book(room=10**9)) as house:
        house.fake.script(PRIMARY, fails(503))
        await house.ask()

        async def rested() -> bool:
            return (await house.breaker.health([("openrouter", PRIMARY)]))[0].state == "half_open"

        await until(rested)
        house.book.room = 0
        with pytest.raises(BudgetExceeded):
            await house.ask()
        house.book.room = None
        assert (await house.ask()).finished.model == PRIMARY


# money


def known(house: House) -> list[tuple[str, int | None]]:
    return [(outcome.status, outcome.cost) for outcome in house.book.settled]


async def test_an_attempt_is_reserved_at_its_most_named_and_settled_at_its_cost(house: House) -> None:
    house.fake.script(PRIMARY, Stream((Say("Hi"),), usage={"cost": 0.0012}))
    await house.ask(max_tokens=100)
    [(payer, attempt, amount)] = house.book.reserved
    assert payer == PAYER
    assert (attempt.rung, attempt.model, attempt.provider, attempt.mode, attempt.purpose) == (
        1,
        PRIMARY,
        "openrouter",
        "everyday",
        "chat",
    )
    bytes_of_prompt = len("You are Ada.Hello") + 2 * 16
    assert amount == bytes_of_prompt * 1 + 100 * 2  # $1 and $2 for a million tokens
    assert house.book.named == ["gen-1"]
    assert known(house) == [("done", 1_200)]


async def test_attempts_of_one_turn_share_its_id(house: House) -> None:
    house.fake.always(PRIMARY, fails(503))
    await house.ask()
    await house.ask()
    turns = [attempt.turn for _, attempt, _ in house.book.reserved]
    assert turns[0] == turns[1] != turns[2] == turns[3]


@pytest.mark.parametrize(
    ("script", "settled"),
    [
        (Stream((Say("Hi"),), usage={"cost": 0.0}), ("done", 0)),
        (Stream((Say("Hi"),), usage={"cost": -5}), ("done", 6)),
        (
            Stream((Say("Hi"),), usage={"cost": None, "prompt_tokens": 1_000_000, "completion_tokens": 5}),
            ("done", 1_000_010),
        ),
        (Stream((Say("Hi"),), usage=None), ("done", None)),
        (Stream((), "content_filter", {"cost": 0.002}), ("refused", 2_000)),
        (fails(503), ("failed", 0)),
        (fails(401), ("failed", 0)),
        (breaks("", 502), ("failed", None)),
        (breaks("Once", 502), ("cut", None)),
        (NoAnswer(), ("failed", None)),
        (
            Stream(
                (
                    Say("Hi"),
                    Send({"usage": {"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.5}, "error": {"code": 502}}),
                ),
                finish=None,
            ),
            ("cut", 500_000),
        ),
    ],
)
async def test_what_an_attempt_is_settled_at(house: House, script: Stream, settled: tuple[str, int | None]) -> None:
    house.fake.script(PRIMARY, script)
    await house.ask()
    assert known(house)[0] == settled


async def test_a_server_that_is_not_there_costs_nothing(house: House) -> None:
    await house.fake.stop()
    await house.ask()
    assert known(house) == [("failed", 0), ("failed", 0)]


async def test_closing_a_stream_settles_it(house: House) -> None:
    house.fake.script(PRIMARY, says("Once", Hold()))
    events = house.chain.stream(make_request())
    assert await anext(events) == Token("Once")
    await events.aclose()
    assert known(house) == [("cancelled", None)]
    assert house.book.named == ["gen-1"]
    assert house.entries[0].outcome == "aborted"


async def test_cancelling_settles_it_also_while_it_is_being_settled(house: House) -> None:
    house.fake.script(PRIMARY, silent(), breaks("Hi"))
    task = asyncio.create_task(house.chain.complete(make_request()))
    await house.fake.arrived()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert known(house) == [("cancelled", None)]

    settling, go_on = slow_to_settle(house)
    task = asyncio.create_task(house.chain.complete(make_request()))
    await settling.wait()
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await house.chain.drain()
    assert [status for status, _ in known(house)] == ["cancelled", "cut"]
    assert house.fake.asked == [PRIMARY, PRIMARY]


async def test_an_answer_does_not_wait_for_its_settlement(house: House) -> None:
    house.fake.script(PRIMARY, "Hi")
    _, go_on = slow_to_settle(house)
    text, finished = await house.chain.complete(make_request())
    assert (text, [tried.outcome for tried in finished.attempts]) == ("Hi", ["answered"])
    assert [entry.outcome for entry in house.entries] == ["answered"]
    assert (len(house.book.reserved), house.book.settled) == (1, [])
    go_on.set()
    await house.chain.drain()
    assert [status for status, _ in known(house)] == ["done"]


async def test_the_next_rung_finds_what_the_one_before_gave_back(house: House) -> None:
    house.fake.script(PRIMARY, breaks("Hi"))
    settling, go_on = slow_to_settle(house)
    task = asyncio.create_task(house.chain.complete(make_request()))
    await settling.wait()
    await asyncio.sleep(0.05)
    assert (len(house.book.reserved), house.fake.asked) == (1, [PRIMARY])
    go_on.set()
    await task
    assert house.fake.asked == [PRIMARY, BACKUP]


def slow_to_settle(house: House) -> tuple[asyncio.Event, asyncio.Event]:
    """`(settling, go_on)`: from here on nothing is settled before `go_on`; `settling`: something could be."""
    settling, go_on = asyncio.Event(), asyncio.Event()
    original = house.book.reserve

    async def slow(generation_id: str) -> None:
        settling.set()
        await go_on.wait()
        house.book.named.append(generation_id)

    async def reserve(*args: object) -> object:
        page = await original(*args)  # type: ignore[arg-type]
        page.identified = slow
        return page

    house.book.reserve = reserve  # type: ignore[method-assign, assignment]
    return settling, go_on


async def test_a_cheaper_rung_still_fits_where_the_first_does_not(open_chain: Open) -> None:
    async with open_chain(book=Book(room=200)) as house:
        house.fake.offers[BACKUP]["pricing"] = {"prompt": "0", "completion": "0"}
        await house.providers.catalogue.refresh()
        said = await house.ask()
        assert [tried.outcome for tried in said.finished.attempts] == ["over_budget", "answered"]
        assert house.fake.asked == [BACKUP]
        assert [amount for _, _, amount in house.book.reserved] == [0]


async def test_without_room_for_anybody_it_is_the_budget_that_says_so(open_chain: Open) -> None:
    async with open_chain(book=Book(room=10)) as house:
        for whole in (False, True):
            with pytest.raises(BudgetExceeded):
                await house.ask(whole=whole)
        assert house.fake.asked == []


async def test_a_model_above_its_cap_is_not_asked(open_chain: Open) -> None:
    text = policy(('id = "alpha/one"', 'id = "alpha/one"\nmax_price = {prompt = 0.5, completion = 9}'))
    async with open_chain(policy=text) as house:
        said = await house.ask()
        assert [tried.outcome for tried in said.finished.attempts] == ["too_dear", "answered"]


@pytest.mark.parametrize(
    "pricing", [{"prompt": "-1", "completion": "-1"}, {"prompt": "99", "completion": "0"}, "?", None]
)
async def test_a_price_that_cannot_be_believed_counts_as_none(open_chain: Open, pricing: object) -> None:
    text = policy(('id = "alpha/one"', 'id = "alpha/one"\nmax_price = {prompt = 10, completion = 20}'))
    async with open_chain(policy=text) as house:
        for model in (PRIMARY, LAST):
            house.fake.offers[model]["pricing"] = pricing
        await house.providers.catalogue.refresh()
        await house.ask(max_tokens=100)
        await house.ask(mode="late", max_tokens=100)
        (_, _, capped), (_, _, unknown) = house.book.reserved
        assert capped == 49 * 10 + 100 * 20  # by the cap
        assert unknown == 49 * 20 + 100 * 100 + 100_000  # by a guess that is high enough


# seen


async def test_the_log_has_the_numbers_and_not_the_words(house: House) -> None:
    house.fake.script(PRIMARY, "a very private reply", fails(401, "quoting: my secret question"), breaks("private"))
    with capture_logs() as logs:
        for _ in range(3):
            await house.ask("my secret question")
        events = house.chain.stream(make_request("my secret question"))
        await anext(events)
        await events.aclose()
    calls = [entry for entry in logs if entry["event"] == "model call"]
    assert [entry["outcome"] for entry in calls] == ["answered", "misconfigured", "cut_off", "aborted"]
    first = calls[0]
    assert (first["model"], first["rung"], first["tier"], first["mode"]) == (PRIMARY, 1, "free", "everyday")
    assert (first["prompt_tokens"], first["completion_tokens"]) == (6, 4)
    assert first["cost_microdollars"] == 14
    assert not any(word in str(logs) for word in ("private", "secret", KEY))


async def test_a_reply_is_not_known_by_the_price_of_another(house: House) -> None:
    house.fake.script(PRIMARY, Stream((Say("Hi"),), usage={"cost": 0.000_000_1}))
    finished = (await house.ask()).finished
    assert finished.usage == Usage(4, 1, cost=1)  # rounded up


async def test_what_it_says_of_itself(house: House) -> None:
    info = house.chain.info
    assert (info.name, info.provider, info.bundled, info.writes_memory) == (PRIMARY, "127.0.0.1", False, True)
    assert info.modes == {"everyday", "late"}
    await house.chain.check()
    await house.fake.stop()


async def test_it_is_not_ready_when_nobody_is(house: House) -> None:
    await house.fake.stop()
    with pytest.raises(ModelError):
        await house.chain.check()
