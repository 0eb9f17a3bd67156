"""How often: turns per minute, and wrong credentials from one address."""

from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from server.accounts.limits import WRONG_PER_MINUTE, network
from server.accounts.service import Accounts
from server.accounts.tokens import sign_in_token
from server.errors import RateLimited, StoreUnavailable, Unauthenticated
from server.settings import Settings
from server.stores.redis import RedisPair
from tests.accounts.conftest import OWNER_TOKEN


async def test_a_plan_has_so_many_turns_a_minute_for_each_user(accounts: Accounts) -> None:
    for _ in range(2):
        await accounts.count_turn("home", "anna", 2)
    with pytest.raises(RateLimited) as refused:
        await accounts.count_turn("home", "anna", 2)
    wait = refused.value.details["retry_after"]
    assert isinstance(wait, int) and 1 <= wait <= 60
    await accounts.count_turn("home", "ben", 2)
    await accounts.count_turn("acme", "anna", 2)


async def test_guessing_is_slowed_down_and_good_credentials_still_pass(accounts: Accounts) -> None:
    for _ in range(WRONG_PER_MINUTE):
        with pytest.raises(Unauthenticated):
            await accounts.by_bearer("wrong", remote="203.0.113.7")
    for wrong in (accounts.by_bearer, accounts.by_session, accounts.sign_in):
        with pytest.raises(RateLimited):
            await wrong("wrong", remote="203.0.113.7")
    assert (await accounts.by_bearer(OWNER_TOKEN, remote="203.0.113.7")).role == "owner"
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
            accounts.count_turn("home", "anna", 2),
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
