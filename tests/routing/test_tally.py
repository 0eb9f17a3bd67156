"""Counts by the hour, over all servers, and what an admin is told of them."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta

import pytest

from server.errors import StoreUnavailable
from server.routing.journal import Entry, Journal
from server.routing.report import Reporter, Totals
from server.routing.tally import Tally
from server.routing.types import AttemptOutcome
from server.stores.redis import RedisPair
from tests.fakes.openai_server import Stream, breaks, fails, says
from tests.routing.chains import BACKUP, PRIMARY, House, make_request, streamed

NOON = datetime(2026, 11, 27, 12, 30, tzinfo=UTC)


def entry(
    outcome: AttemptOutcome, model: str = "a/m", mode: str | None = "everyday", first: float | None = None
) -> Entry:
    return Entry("t", 1, model, model, "openrouter", "free", mode, "chat", outcome, first=first)


async def test_servers_count_together_and_hours_apart(redis_pair: RedisPair) -> None:
    now = [NOON]
    ours, theirs = (Tally(redis_pair.cache, lambda: now[0]) for _ in range(2))
    ours.attempt(entry("answered", first=0.2))
    theirs.attempt(entry("content_filter"))
    await theirs.write()
    now[0] += timedelta(hours=1)
    ours.attempt(entry("timeout"))
    ours.attempt(entry("resting"))
    ours.attempt(entry("aborted", mode=None))
    ours.turn("fallback")
    before, last = await ours.read(2)
    assert (before.at, last.at) == (NOON.replace(minute=0), NOON.replace(hour=13, minute=0))
    assert dict(before.models) == {
        ("a/m", "everyday"): {"attempts": 2, "refused": 1, "first_ms": 200, "first_count": 1}
    }
    assert last.models == {("a/m", "everyday"): {"attempts": 1, "failed": 1}, ("a/m", ""): {"attempts": 1}}
    assert last.turns == {"fallback": 1}
    assert 0 < await redis_pair.cache.ttl("vestige:routing:hour:2026112712") <= 35 * 86_400


async def test_what_cannot_be_written_waits(redis_pair: RedisPair, monkeypatch: pytest.MonkeyPatch) -> None:
    tally = Tally(redis_pair.cache, lambda: NOON)
    tally.turn("answered")
    with monkeypatch.context() as broken:
        broken.setattr(redis_pair.cache, "pipeline", lambda **_: Broken())
        with pytest.raises(StoreUnavailable):
            await tally.write()
    tally.turn("answered")
    [hour] = await tally.read(1)
    assert hour.turns == {"answered": 2}


class Broken:
    async def __aenter__(self) -> "Broken":
        raise ConnectionError

    async def __aexit__(self, *_: object) -> None: ...


async def test_the_report_of_a_chain(
    open_chain: Callable[..., AbstractAsyncContextManager[House]], redis_pair: RedisPair
) -> None:
    async with open_chain() as house:
        tally = Tally(redis_pair.cache)
        chain = house.providers.chain(house.breaker, Journal(tally))
        house.fake.script(
            PRIMARY, says("Hi"), Stream((), finish="content_filter"), fails(503, retry_after=60), breaks("Once", 502)
        )
        house.fake.script(BACKUP, says("Backup"), fails(401))
        for _ in range(3):
            await streamed(chain, make_request())
        report = await Reporter(tally, house.breaker, house.providers.routes).report(24)
        assert report.total == Totals(turns=3, fallbacks=1, unanswered=1, attempts=5, refused=1, failed=2)
        assert len(report.buckets) == 24
        assert report.buckets[-1].totals.turns + report.buckets[-2].totals.turns == 3
        first, second = report.models
        assert (first.model, first.mode, first.attempts, first.refused, first.failed) == (PRIMARY, "everyday", 3, 1, 1)
        assert first.first_token_ms is not None
        assert first.cooling_until is not None
        assert datetime.now(UTC) < first.cooling_until < datetime.now(UTC) + timedelta(seconds=61)
        assert (second.model, second.attempts, second.failed, second.cooling_until) == (BACKUP, 2, 1, None)


async def test_a_reply_that_broke_off_is_a_turn_of_its_own(
    open_chain: Callable[..., AbstractAsyncContextManager[House]], redis_pair: RedisPair
) -> None:
    async with open_chain() as house:
        tally = Tally(redis_pair.cache)
        chain = house.providers.chain(house.breaker, Journal(tally))
        house.fake.script(PRIMARY, breaks("Once", 502))
        await streamed(chain, make_request())
        [hour] = await tally.read(1)
        assert hour.turns == {"cut_off": 1}
