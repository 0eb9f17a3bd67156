"""A clock that tests turn, and accounts over a real Valkey."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from server.accounts.service import Accounts
from server.settings import Plan, Settings
from server.stores.redis import RedisPair

OWNER_TOKEN = "owner-token-of-this-process-0123456789"


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings(plans={"free": Plan(turns_per_minute=2), "plus": Plan()}, session_days=30)


@pytest.fixture
async def accounts(redis_pair: RedisPair, settings: Settings, clock: Clock) -> Accounts:
    return Accounts(redis_pair.busy, settings, owner_token=OWNER_TOKEN, clock=clock)
