"""People: who is on record, how they sign in, and how they lose it again."""

import asyncio

import pytest

from server.accounts.principal import PERSONAL, SCOPES, Principal
from server.accounts.service import Accounts
from server.accounts.tokens import sign_in_token
from server.errors import Conflict, Forbidden, InvalidId, InvalidRequest, NotFound, Unauthenticated, VestigeError
from server.ids import check_slug
from server.stores.redis import RedisPair
from tests.accounts.conftest import OWNER_TOKEN, Clock

HERE = "127.0.0.1"


async def owner(accounts: Accounts) -> Principal:
    return (await accounts.by_bearer(OWNER_TOKEN, remote=HERE))[0]


async def signed_in(accounts: Accounts, user: str, tenant: str = "home") -> str:
    session, _ = await accounts.sign_in(await accounts.new_link(tenant, user), remote=HERE)
    return session


async def test_the_owner_is_there_from_the_first_start(accounts: Accounts) -> None:
    made = await accounts.ensure_owner()
    assert (made.tenant, made.id, made.role, made.tier) == ("home", "owner", "owner", "free")
    assert await accounts.ensure_owner() == made
    who = await owner(accounts)
    assert (who.user, who.scopes, who.kind) == ("owner", SCOPES, "owner")


async def test_a_link_gets_one_session_with_the_rights_of_the_record(accounts: Accounts) -> None:
    anna = await accounts.add_user("home", "Anna", tier="plus")
    link = await accounts.new_link("home", anna.id)
    session, who = await accounts.sign_in(link, remote=HERE)
    assert who == await accounts.by_session(session, remote=HERE)
    assert (who.user, who.name, who.role, who.scopes, who.tier) == (anna.id, "Anna", "member", PERSONAL, "plus")
    with pytest.raises(Unauthenticated, match="used already"):
        await accounts.sign_in(link, remote=HERE)
    assert await accounts.by_session(session, remote=HERE) == who


async def test_of_many_who_race_with_one_link_exactly_one_gets_in(accounts: Accounts) -> None:
    anna = await accounts.add_user("home", "Anna")
    link = await accounts.new_link("home", anna.id)
    tries = await asyncio.gather(*(accounts.sign_in(link, remote=HERE) for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(one, tuple) for one in tries) == 1
    assert sum(isinstance(one, Unauthenticated) for one in tries) == 7


async def test_the_printed_address_signs_the_owner_in_once(accounts: Accounts) -> None:
    token = sign_in_token(OWNER_TOKEN)
    tries = await asyncio.gather(*(accounts.sign_in(token, remote=HERE) for _ in range(4)), return_exceptions=True)
    (session,) = [one[0] for one in tries if isinstance(one, tuple)]
    assert (await accounts.by_session(session, remote=HERE)).role == "owner"
    with pytest.raises(Unauthenticated, match="vestige link"):
        await accounts.sign_in(token, remote=HERE)
    with pytest.raises(Unauthenticated, match="vestige link"):
        await accounts.sign_in(OWNER_TOKEN, remote=HERE)
    with pytest.raises(Unauthenticated):  # and what was in the address is no credential of its own
        await accounts.by_bearer(token, remote=HERE)
    assert (await owner(accounts)).role == "owner"


async def test_the_owners_session_outlives_the_process_its_token_does_not(
    accounts: Accounts, redis_pair: RedisPair, settings, clock: Clock
) -> None:
    session, _ = await accounts.sign_in(sign_in_token(OWNER_TOKEN), remote=HERE)
    restarted = Accounts(redis_pair.state, settings, owner_token="another", clock=clock)
    assert (await restarted.by_session(session, remote=HERE)).role == "owner"
    with pytest.raises(Unauthenticated):
        await restarted.by_bearer(OWNER_TOKEN, remote=HERE)


async def test_a_session_ends_when_it_is_not_used_and_lives_while_it_is(accounts: Accounts, clock: Clock) -> None:
    anna = await accounts.add_user("home", "Anna")
    session = await signed_in(accounts, anna.id)
    for _ in range(3):
        clock.forward(days=29)
        assert (await accounts.by_session(session, remote=HERE)).user == anna.id
    clock.forward(days=30)
    with pytest.raises(Unauthenticated, match="expired"):
        await accounts.by_session(session, remote=HERE)


async def test_redis_forgets_links_and_sessions_by_itself(accounts: Accounts, redis_pair: RedisPair) -> None:
    anna = await accounts.add_user("home", "Anna")
    await signed_in(accounts, anna.id)
    await accounts.new_link("home", anna.id)
    lives = {
        name.split(":")[2]: await redis_pair.state.ttl(name)
        async for name in redis_pair.state.scan_iter("vestige:accounts:*")
    }
    assert 0 < lives["link"] <= 7 * 86_400
    assert 0 < lives["session"] <= 30 * 86_400


async def test_role_and_tier_change_under_a_running_session(accounts: Accounts) -> None:
    anna = await accounts.add_user("home", "Anna", role="admin")
    session = await signed_in(accounts, anna.id)
    assert (await accounts.by_session(session, remote=HERE)).is_admin
    await accounts.change_user("home", anna.id, by=await owner(accounts), role="member", tier="plus", name="Ännchen")
    who = await accounts.by_session(session, remote=HERE)
    assert (who.role, who.scopes, who.tier, who.name) == ("member", PERSONAL, "plus", "Ännchen")


async def test_a_removed_user_is_out_at_once_and_every_way(accounts: Accounts, redis_pair: RedisPair) -> None:
    anna = await accounts.add_user("home", "Anna")
    session, link = await signed_in(accounts, anna.id), await accounts.new_link("home", anna.id)
    _, key = await accounts.create_key("home", "phone", {"chat"}, user_id=anna.id)
    await accounts.set_active("home", anna.id, "mira")
    assert await accounts.delete_user("home", anna.id)
    for attempt in (
        accounts.by_session(session, remote=HERE),
        accounts.sign_in(link, remote=HERE),
        accounts.by_bearer(key, remote=HERE),
    ):
        with pytest.raises(Unauthenticated):
            await attempt
    left = [name async for name in redis_pair.state.scan_iter("vestige:accounts:*") if anna.id in name]
    assert left == []
    assert await accounts.users("home") == []
    assert not await accounts.delete_user("home", anna.id)


async def test_an_id_is_never_given_twice(accounts: Accounts) -> None:
    first = await accounts.add_user("home", "Anna")
    await accounts.delete_user("home", first.id)
    assert (await accounts.add_user("home", "Anna")).id != first.id


async def test_signing_out_ends_this_session_only(accounts: Accounts) -> None:
    anna = await accounts.add_user("home", "Anna")
    here, there = await signed_in(accounts, anna.id), await signed_in(accounts, anna.id)
    await accounts.sign_out(here)
    await accounts.sign_out("never was one")
    with pytest.raises(Unauthenticated):
        await accounts.by_session(here, remote=HERE)
    assert (await accounts.by_session(there, remote=HERE)).user == anna.id


async def test_only_the_owner_touches_the_owner(accounts: Accounts) -> None:
    await accounts.ensure_owner()
    admin = await accounts.add_user("home", "Ben", role="admin")
    ben = await accounts.by_session(await signed_in(accounts, admin.id), remote=HERE)
    with pytest.raises(Forbidden):
        await accounts.new_link("home", "owner", by=ben)
    with pytest.raises(Forbidden):
        await accounts.change_user("home", "owner", by=ben, name="Not you")
    with pytest.raises(Conflict):
        await accounts.delete_user("home", "owner")
    me = await owner(accounts)
    with pytest.raises(Conflict):
        await accounts.change_user("home", "owner", by=me, role="member")
    assert (await accounts.change_user("home", "owner", by=me, name="Иван")).name == "Иван"
    assert (await owner(accounts)).name == "Иван"
    await accounts.sign_in(await accounts.new_link("home", "owner", by=me), remote=HERE)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Anna", "Anna"),
        ("  Anna \n Karenina ", "Anna Karenina"),
        ("名前", "名前"),
        ("👩‍🚀 Zoë", "👩‍🚀 Zoë"),
        ("Zoe\u0308", "Zoë"),
        ("an\x1b[31mna", "an[31mna"),
        ("\u202eanna", "anna"),
        ("a" * 80, "a" * 80),
        ("a" * 81, InvalidRequest),
        ("a" * 100_000, InvalidRequest),
        ("", InvalidRequest),
        (" \u200b\t", InvalidRequest),
        ("\x07", InvalidRequest),
        ("anna\x00", InvalidRequest),
        ("anna\ud800", InvalidRequest),
    ],
)
async def test_names(accounts: Accounts, name: str, expected: str | type[VestigeError]) -> None:
    if not isinstance(expected, str):
        with pytest.raises(expected):
            await accounts.add_user("home", name)
        return
    user = await accounts.add_user("home", name)
    assert user.name == expected
    assert check_slug(user.id, "user_id")
    assert await accounts.users("home") == [user]


async def test_what_a_user_cannot_be(accounts: Accounts) -> None:
    me = await owner(accounts)
    anna = await accounts.add_user("home", "Anna")
    with pytest.raises(InvalidRequest, match="free, plus"):
        await accounts.add_user("home", "Ben", tier="gold")
    with pytest.raises(InvalidRequest):
        await accounts.change_user("home", anna.id, by=me, role="owner")
    with pytest.raises(InvalidRequest):
        await accounts.add_user("home", "Ben", role="service")
    with pytest.raises(NotFound):
        await accounts.change_user("home", "nobody", by=me, name="Ben")
    with pytest.raises(NotFound):
        await accounts.new_link("other", anna.id)
    with pytest.raises(InvalidId):
        await accounts.delete_user("home", "../anna")


async def test_last_seen_is_noted_once_a_minute(accounts: Accounts, clock: Clock) -> None:
    anna = await accounts.add_user("home", "Anna")
    assert anna.last_seen is None
    session = await signed_in(accounts, anna.id)
    first = (await accounts.user("home", anna.id)).last_seen
    assert first == clock.now
    clock.forward(seconds=59)
    await accounts.by_session(session, remote=HERE)
    assert (await accounts.user("home", anna.id)).last_seen == first
    clock.forward(seconds=1)
    await accounts.by_session(session, remote=HERE)
    assert (await accounts.user("home", anna.id)).last_seen == clock.now


async def test_the_active_character_is_kept_per_user(accounts: Accounts) -> None:
    assert await accounts.get_active("home", "anna") is None
    assert await accounts.set_active("home", "anna", "mira") is None
    assert await accounts.set_active("home", "anna", "theo") == "mira"
    assert await accounts.get_active("home", "anna") == "theo"
    assert await accounts.get_active("home", "ben") is None
    assert await accounts.set_active("home", "anna", None) == "theo"
    assert await accounts.get_active("home", "anna") is None
    with pytest.raises(InvalidId):
        await accounts.set_active("home", "anna", "../mira")


async def test_nothing_that_signs_in_lies_in_the_store(accounts: Accounts, redis_pair: RedisPair) -> None:
    anna = await accounts.add_user("home", "Anna")
    secrets = [await accounts.new_link("home", anna.id), await signed_in(accounts, anna.id)]
    secrets.append((await accounts.create_key("home", "app", {"chat"}))[1].split("_", 2)[2])
    await accounts.sign_in(OWNER_TOKEN, remote=HERE)
    kept = ""
    async for name in redis_pair.state.scan_iter("*"):
        kept += name
        if await redis_pair.state.type(name) == "hash":
            kept += str(await redis_pair.state.hgetall(name))
    assert all(secret not in kept for secret in (*secrets, OWNER_TOKEN))
    assert "secret" in kept
