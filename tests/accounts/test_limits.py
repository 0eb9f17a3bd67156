"""How often: turns per minute, and wrong credentials from one address."""

import asyncio
from pathlib import Path

import pytest
from redis import Redis as SyncRedis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from server.accounts.limits import COUNT, WRONG_PER_MINUTE, network, requests_from, requests_of_key, turns
from server.accounts.service import Accounts
from server.accounts.tokens import sign_in_token
from server.errors import RateLimited, StoreUnavailable, Unauthenticated
from server.settings import Settings
from server.stores.redis import RedisPair
from tests.accounts.conftest import OWNER_TOKEN


async def test_a_plan_has_so_many_turns_a_minute_for_each_user(accounts: Accounts) -> None:
    for left in (1, 0):
        counted = await accounts.count(turns("home", "anna", 2))
        (standing,) = counted.standings
        assert counted.refusal is None
        assert (standing.policy, standing.quota, standing.left) == ("turns", 2, left)
        assert 1 <= standing.seconds <= 60
    refusal = (await accounts.count(turns("home", "anna", 2))).refusal
    assert isinstance(refusal, RateLimited)
    wait = refusal.details["retry_after"]
    assert isinstance(wait, int) and 1 <= wait <= 120
    for tenant, user in (("home", "ben"), ("acme", "anna")):
        assert (await accounts.count(turns(tenant, user, 2))).refusal is None


async def test_all_that_a_request_counts_against_is_counted_or_nothing(accounts: Accounts) -> None:
    both = (requests_of_key("k1", 5), requests_from("203.0.113.7", 2))
    for _ in range(2):
        assert (await accounts.count(*both)).refusal is None
    for _ in range(3):
        refusal = (await accounts.count(*both)).refusal
        assert refusal is not None and refusal.details["policy"] == "address"
    (key,) = (await accounts.count(requests_of_key("k1", 5))).standings
    assert key.left == 2  # the refused ones did not count against it


async def test_a_thousand_at_once_pass_as_many_as_may(accounts: Accounts) -> None:
    counted = await asyncio.gather(*(accounts.count(turns("home", "anna", 100)) for _ in range(1_000)))
    assert sum(one.refusal is None for one in counted) == 100


@pytest.mark.parametrize(
    ("before", "now", "gone", "quota", "left", "wait"),
    [
        (0, 0, 0.0, 10, 9, 0),
        (0, 9, 0.5, 10, 0, 0),
        (0, 10, 0.5, 10, 0, 30 + 6),  # the next minute begins with these ten, and one of them has to fade
        (10, 0, 0.0, 10, 0, 6),
        (10, 0, 0.5, 10, 4, 0),  # half of the minute before still counts
        (10, 5, 0.5, 10, 0, 6),
        (1, 0, 0.5, 1, 0, 30),
        (0, 1, 0.0, 1, 0, 120),
        (500, 0, 0.9, 10, 0, 4.92),
    ],
)
def test_the_window_slides(
    before: int, now: int, gone: float, quota: int, left: int, wait: float, valkey_socket: Path
) -> None:
    """The script itself, with the clock where a case says: `gone` of the minute."""
    fixed = COUNT.replace("redis.call('TIME')", f"{{'{int(1_000_000 * 60 + gone * 60)}', '0'}}")
    with SyncRedis(unix_socket_path=str(valkey_socket), decode_responses=True) as state:
        state.flushall()
        state.hset("k", mapping={"slot": 1_000_000, "now": now, "before": before})
        found = state.eval(fixed, 1, "k", 60_000, quota)
        assert found == [wait * 1000, round((1 - gone) * 60_000), left]


@pytest.mark.parametrize("kept", [{"slot": 999_998, "now": 50, "before": 50}, {"slot": 1_000_007, "now": 50}])
def test_what_is_older_than_two_minutes_or_from_the_future_does_not_count(
    kept: dict[str, int], valkey_socket: Path
) -> None:
    fixed = COUNT.replace("redis.call('TIME')", "{'60000000', '0'}")
    with SyncRedis(unix_socket_path=str(valkey_socket), decode_responses=True) as state:
        state.flushall()
        state.hset("k", mapping=kept)  # type: ignore[arg-type]
        assert state.eval(fixed, 1, "k", 60_000, 10) == [0, 60_000, 9]


async def test_guessing_is_slowed_down_and_good_credentials_still_pass(accounts: Accounts) -> None:
    for _ in range(WRONG_PER_MINUTE):
        with pytest.raises(Unauthenticated):
            await accounts.by_bearer("wrong", remote="203.0.113.7")
    for wrong in (accounts.by_bearer, accounts.by_session, accounts.sign_in):
        with pytest.raises(RateLimited):
            await wrong("wrong", remote="203.0.113.7")
    assert (await accounts.by_bearer(OWNER_TOKEN, remote="203.0.113.7"))[0].role == "owner"
    with pytest.raises(Unauthenticated):
        await accounts.by_bearer("wrong", remote="203.0.113.8")


@pytest.mark.parametrize(
    ("remote", "counted_as"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("unknown", "unknown"),
        ("", "unknown"),
        ("a:b:c", "unknown"),
    ],
)
def test_whom_an_address_stands_for(remote: str, counted_as: str) -> None:
    assert network(remote) == counted_as


async def test_without_its_store_nobody_gets_in_and_the_error_says_why(settings: Settings, tmp_path: Path) -> None:
    async with Redis(unix_socket_path=str(tmp_path / "gone.sock"), retry=Retry(NoBackoff(), 0)) as nowhere:
        accounts = Accounts(nowhere, settings, owner_token=OWNER_TOKEN)
        for attempt in (
            accounts.by_bearer(OWNER_TOKEN, remote="::1"),
            accounts.by_bearer("wrong", remote="::1"),
            accounts.by_session("any", remote="::1"),
            accounts.sign_in(sign_in_token(OWNER_TOKEN), remote="::1"),
            accounts.count(turns("home", "anna", 2)),
            accounts.set_active("home", "anna", "mira"),
        ):
            with pytest.raises(StoreUnavailable):
                await attempt


async def test_the_printed_address_is_not_used_up_by_a_store_that_was_away(
    redis_pair: RedisPair, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = Accounts(redis_pair.state, settings, owner_token=OWNER_TOKEN)
    with monkeypatch.context() as away:
        away.setattr(redis_pair.state.connection_pool, "get_connection", _refuse)
        with pytest.raises(StoreUnavailable):
            await accounts.sign_in(sign_in_token(OWNER_TOKEN), remote="::1")
    _, who = await accounts.sign_in(sign_in_token(OWNER_TOKEN), remote="::1")
    assert who.role == "owner"


async def _refuse(*_: object, **__: object) -> None:
    raise RedisConnectionError("gone")
