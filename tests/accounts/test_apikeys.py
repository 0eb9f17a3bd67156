"""API keys: what they open, and when they stop."""

import asyncio
from collections.abc import Callable

import pytest

from server.accounts.limits import requests_from
from server.accounts.principal import SCOPES
from server.accounts.service import Accounts
from server.errors import InvalidId, InvalidRequest, NotFound, Unauthenticated, VestigeError
from server.settings import Settings
from server.stores.redis import RedisPair
from tests.accounts.conftest import OWNER_TOKEN, Clock

HERE = "127.0.0.1"


async def test_a_key_is_its_tenant_scopes_and_tier(accounts: Accounts) -> None:
    made, key = await accounts.create_key("acme", "Back end", ["chat", "memory"], tier="plus")
    assert key.startswith(f"vst_{made.id}_") and [len(part) for part in key.split("_", 2)] == [3, 10, 43]
    who, _ = await accounts.by_bearer(key, remote=HERE)
    assert (who.tenant, who.user, who.role, who.tier, who.kind) == ("acme", None, "service", "plus", "key")
    assert who.scopes == {"chat", "memory"}
    assert await accounts.keys("acme") == [await _used(accounts, made.id)]
    assert await accounts.keys("home") == []


async def _used(accounts: Accounts, id: str):
    return next(key for key in await accounts.keys(None) if key.id == id)


async def test_a_bound_key_is_its_user_and_never_more(accounts: Accounts) -> None:
    owner, _ = await accounts.by_bearer(OWNER_TOKEN, remote=HERE)
    ben = await accounts.add_user("home", "Ben", role="admin", tier="plus")
    _, key = await accounts.create_key("home", "phone", SCOPES, user_id=ben.id)
    who, _ = await accounts.by_bearer(key, remote=HERE)
    assert (who.user, who.name, who.tier, who.scopes) == (ben.id, "Ben", "plus", SCOPES)
    await accounts.change_user("home", ben.id, by=owner, role="member", tier="free")
    who, _ = await accounts.by_bearer(key, remote=HERE)
    assert (who.is_admin, who.tier) == (False, "free")


async def test_a_revoked_key_is_dead_at_the_next_request(accounts: Accounts) -> None:
    made, key = await accounts.create_key("home", "app", {"chat"})
    assert (await accounts.by_bearer(key, remote=HERE))[0].user is None
    await accounts.revoke_key(made.id, tenant="home")
    with pytest.raises(Unauthenticated, match="revoked"):
        await accounts.by_bearer(key, remote=HERE)
    assert await accounts.keys(None) == []
    with pytest.raises(NotFound):
        await accounts.revoke_key(made.id, tenant="home")


async def test_another_tenants_keys_are_out_of_reach(accounts: Accounts) -> None:
    made, key = await accounts.create_key("acme", "app", {"chat"})
    with pytest.raises(NotFound):
        await accounts.revoke_key(made.id, tenant="home")
    assert (await accounts.by_bearer(key, remote=HERE))[0].tenant == "acme"
    await accounts.revoke_key(made.id, tenant=None)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"scopes": []}, InvalidRequest),
        ({"scopes": ["chat", "root"]}, InvalidRequest),
        ({"name": " "}, InvalidRequest),
        ({"tier": "gold"}, InvalidRequest),
        ({"user_id": "nobody"}, NotFound),
        ({"user_id": "../owner"}, InvalidId),
        ({"tenant": "a/b"}, InvalidId),
    ],
)
async def test_keys_that_cannot_be_made(
    accounts: Accounts, fields: dict[str, object], error: type[VestigeError]
) -> None:
    wanted: dict = {"tenant": "home", "name": "app", "scopes": ["chat"]} | fields
    with pytest.raises(error):
        await accounts.create_key(wanted.pop("tenant"), wanted.pop("name"), wanted.pop("scopes"), **wanted)
    assert await accounts.keys(None) == []


async def test_last_used_is_noted_once_a_minute(accounts: Accounts, clock: Clock) -> None:
    made, key = await accounts.create_key("home", "app", {"chat"})
    assert made.last_used is None
    await accounts.by_bearer(key, remote=HERE)
    first = clock.now
    clock.forward(seconds=30)
    await accounts.by_bearer(key, remote=HERE)
    assert (await _used(accounts, made.id)).last_used == first
    clock.forward(seconds=30)
    await accounts.by_bearer(key, remote=HERE)
    assert (await _used(accounts, made.id)).last_used == clock.now


async def test_wrong_keys(accounts: Accounts) -> None:
    made, key = await accounts.create_key("home", "app", {"chat"})
    secret = key.split("_", 2)[2]
    wrong = [
        "",
        "vst_",
        made.id,
        secret,
        key[:-1],
        key + "A",
        key.upper(),
        key.replace("vst_", "vst-"),
        f"vst_{made.id}_" + "A" * 43,
        f"vst_{'a' * 10}_{secret}",
        f"{key}\n",
        f"vst_*_{secret}",
        f"vst_{made.id}' OR '1'='1_{secret}",
        "vst_\r\nDEL vestige\r\n",
        "x" * 100_000,
        "ключ",
        "\ud800",
        OWNER_TOKEN[:-1],
        OWNER_TOKEN + " ",
    ]
    for number, presented in enumerate(wrong):
        with pytest.raises(Unauthenticated) as refused:
            await accounts.by_bearer(presented, remote=f"10.0.0.{number}")
        assert refused.value.message.startswith("That credential is wrong")  # the same for all of them
    assert (await accounts.by_bearer(key, remote="10.0.0.1"))[0].credential == f"key:{made.id}"


async def test_a_request_is_counted_in_the_step_that_knows_its_key(
    redis_pair: RedisPair, make_settings: Callable[..., Settings]
) -> None:
    accounts = Accounts(redis_pair.busy, make_settings(key_requests_per_minute=20), owner_token=OWNER_TOKEN)
    made, key = await accounts.create_key("home", "app", {"chat"})
    address = requests_from("203.0.113.7", 1_000)
    for number in range(25):  # who knows its id, which is no secret, uses none of its requests up
        with pytest.raises(Unauthenticated):
            await accounts.by_bearer(f"vst_{made.id}_{'A' * 43}", remote=f"10.0.0.{number}", quotas=[address])
    found = await asyncio.gather(*(accounts.by_bearer(key, remote=HERE, quotas=[address]) for _ in range(60)))
    assert sum(counted.refusal is None for _, counted in found) == 20
    refused = [counted.refusal for _, counted in found if counted.refusal is not None]
    assert {refusal.details["policy"] for refusal in refused} == {"key"}
    _, other = await accounts.create_key("home", "other", {"chat"})
    _, counted = await accounts.by_bearer(other, remote=HERE, quotas=[address])
    assert [(each.policy, each.left) for each in counted.standings] == [("key", 19), ("address", 1_000 - 21)]
