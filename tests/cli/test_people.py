"""`vestige keys`, `vestige users`, `vestige link`: the same whether a server runs on the folder or not."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio

from tests.fakes.openai_server import FakeOpenAI
from tests.system.instance import Instance, start, vestige_run

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Instance]:
    async with FakeOpenAI() as fake, start(tmp_path_factory.mktemp("cli") / "data", fake.base_url) as running:
        yield running


async def run(data: Path, *arguments: str, fails: bool = False) -> str:
    """What the command printed: on stdout, or where it fails its one line on stderr."""
    code, out, err = await vestige_run(*arguments, "--data", str(data))
    if not fails:
        assert (code, err) == (0, "")
        return out.strip()
    assert (code, out) == (1, "")
    lines = err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


async def who(server: Instance, token: str) -> tuple[int, str | None]:
    """Whom a bearer token is for."""
    async with server.session.get(f"{server.url}/v1/me", headers={"Authorization": f"Bearer {token}"}) as response:
        body = await response.json()
        return response.status, (body["user"] or {}).get("name") if response.status == 200 else None


async def sign_in(server: Instance, link: str) -> tuple[int, str | None]:
    """Whom a sign-in link is for."""
    parts = urlsplit(link)
    assert parts.port == server.port
    token = parse_qs(parts.query)["token"][0]
    async with server.session.post(f"{server.url}/v1/session", json={"token": token}) as response:
        body = await response.json()
        return response.status, body["user"]["name"] if response.status == 200 else None


def row(table: str, name: str) -> list[str]:
    """The cells of the line that has this word."""
    return next(line.split() for line in table.splitlines() if name in line.split())


async def test_a_key_is_printed_once_listed_without_it_and_revoked_at_once(server: Instance) -> None:
    data = server.data
    secret = await run(data, "keys", "create", "phone", "--scope", "chat", "--scope", "memory", "--user", "owner")
    assert (await who(server, secret))[0] == 200
    listed = await run(data, "keys", "list")
    assert secret not in listed
    cells = row(listed, "phone")
    assert cells[2:4] == ["chat,", "memory"]
    assert "revoked" in await run(data, "keys", "revoke", cells[0])
    assert (await who(server, secret))[0] == 401
    assert "phone" not in await run(data, "keys", "list")


async def test_a_user_signs_in_with_each_link_once_and_is_removed_with_everything(server: Instance) -> None:
    data = server.data
    link = await run(data, "users", "add", "Anna")
    assert await sign_in(server, link) == (200, "Anna")
    assert (await sign_in(server, link))[0] == 401
    anna = row(await run(data, "users", "list"), "Anna")[0]
    assert await sign_in(server, await run(data, "users", "link", anna)) == (200, "Anna")
    mira = await server.character(shared=True)
    assert (await server.say(mira, "Hello from Anna", user_id=anna))[0] == 200
    removed = await run(data, "users", "remove", anna, "--yes")
    assert "1 conversations" in removed
    assert "2 messages" in removed
    assert "Anna" not in await run(data, "users", "list")
    _, page = await server.ask("GET", f"/v1/chat/{mira}/messages?user_id={anna}")
    assert page["messages"] == []


async def test_names_are_shown_as_they_are_and_in_full(server: Instance) -> None:
    name = "[/bold] [red]Zoë[/red] " + "of the long name " * 2
    await run(server.data, "users", "add", name.strip())
    assert name.strip() in await run(server.data, "users", "list")


async def test_the_owner_gets_a_fresh_link(server: Instance) -> None:
    status, name = await sign_in(server, await run(server.data, "link"))
    assert (status, name is not None) == (200, True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("keys", "create", "x", "--scope", "everything"), "scopes"),
        (("keys", "create", "x", "--user", "nobody"), "no user"),
        (("keys", "create", "x", "--user", "../owner"), "user_id must be"),
        (("keys", "create", "x", "--tier", "gold"), "tier"),
        (("keys", "revoke", "key-nothing"), "no API key"),
        (("users", "link", "nobody"), "no user"),
        (("users", "remove", "owner", "--yes"), "owner"),
        (("users", "add", "x" * 300), "name"),
        (("users", "add", "  "), "name"),
    ],
)
async def test_what_cannot_be_is_one_line(server: Instance, arguments: tuple[str, ...], says: str) -> None:
    line = await run(server.data, *arguments, fails=True)
    assert line.startswith("vestige: ")
    assert says in line


async def test_without_a_server_the_command_opens_the_folder_itself(tmp_path: Path) -> None:
    data = tmp_path / "data"
    secret = await run(data, "keys", "create", "phone")
    assert row(await run(data, "keys", "list"), "phone")[2] == "chat"
    link = await run(data, "users", "add", "Anna", "--admin")
    assert row(await run(data, "users", "list"), "Anna")[2] == "admin"
    for arguments in (("link",), ("users", "remove", "owner", "--yes")):
        assert "tart" in await run(data, *arguments, fails=True)
    async with FakeOpenAI() as fake, start(data, fake.base_url) as server:
        assert (await who(server, secret))[0] == 200
        token = parse_qs(urlsplit(link).query)["token"][0]
        assert await sign_in(server, f"{server.url}/?token={token}") == (200, "Anna")


@pytest.mark.parametrize(
    ("setting", "begins"),
    [
        ({"public_url": "https://chat.example.org/"}, "https://chat.example.org/?token="),
        ({"host": "::"}, "http://[::]:8420/?token="),
    ],
)
async def test_before_the_first_start_a_link_names_the_address_that_people_use(
    tmp_path: Path, setting: dict[str, str], begins: str
) -> None:
    code, link, err = await vestige_run("users", "add", "Anna", "--data", str(tmp_path / "data"), **setting)
    assert code == 0, err
    assert link.startswith(begins)


async def test_a_server_that_was_killed_does_not_stand_in_the_way(tmp_path: Path) -> None:
    """Its word of itself is still in the folder, and leads nowhere."""
    data = tmp_path / "data"
    async with FakeOpenAI() as fake, start(data, fake.base_url) as server:
        await server.kill()
    assert (data / "run" / "server.json").exists()
    keys = await asyncio.gather(*(run(data, "keys", "list") for _ in range(1)))
    assert keys
    assert "start it with `vestige serve`" in await run(data, "link", fails=True)
