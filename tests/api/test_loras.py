"""LoRAs over HTTP, by an admin's hand: sending, adding, listing, promoting, going back, checking."""

import hashlib
import io
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from comfy_nodes.outfit_tuner.routes.auth import TOKEN_VARIABLE
from server.api.keys import ACCOUNTS
from server.api.services import LORAS, PUSHER
from server.app import FOLDER
from tests.harness import Json, Server, shared_server, until
from tests.loras import lora_files as made
from tests.loras.pack_host import TOKEN, Host

pytestmark = pytest.mark.asyncio(loop_scope="module")

FILE = {"Content-Type": "application/octet-stream"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with shared_server(tmp_path_factory.mktemp("loras") / "data") as running:
        yield running


def file(seed: int) -> bytes:
    return made.lora(made.KOHYA, made.KOHYA_SAYS, fill=seed.to_bytes(2, "little"))


async def send(server: Server, data: bytes) -> str:
    status, found = await server.ask("POST", "/v1/admin/lora-files", data=data, headers=FILE)
    assert status in (200, 201), found
    return found["sha256"]


async def add(server: Server, name: str, *seeds: int) -> None:
    for seed in seeds:
        sha256 = await send(server, file(seed))
        status, made = await server.ask("POST", f"/v1/admin/loras/{name}/versions", json={"sha256": sha256})
        assert status == 201, made


async def character(server: Server, name: str) -> Json:
    status, found = await server.ask("GET", f"/v1/admin/loras/{name}")
    assert status == 200, found
    return found


async def test_a_file_is_sent_and_becomes_a_version(server: Server) -> None:
    data = file(1)
    status, sent = await server.ask("POST", "/v1/admin/lora-files", data=data, headers=FILE)
    sha256 = hashlib.sha256(data).hexdigest()
    assert (status, sent["sha256"], sent["auto_v2"]) == (201, sha256, sha256[:10])
    assert sent["facts"]["base_family"] == "pony"
    assert (await server.ask("POST", "/v1/admin/lora-files", data=data, headers=FILE))[0] == 200
    assert (await server.ask("GET", f"/v1/admin/lora-files/{sha256}"))[1] == sent

    draft = {"sha256": sha256, "notes": "of spring", "training": "[network]\n", "dataset_report": "0" * 64}
    status, version = await server.ask("POST", "/v1/admin/loras/ania/versions", json=draft)
    assert (status, version["version"], version["live"], version["added_by"]) == (201, 1, True, "owner")
    assert (version["file"], version["notes"], version["dataset_report"]) == (sent, "of spring", "0" * 64)
    status, again = await server.ask("POST", "/v1/admin/loras/ania/versions", json={"sha256": sha256, "notes": "other"})
    assert (status, again) == (200, version)
    assert (await server.ask("GET", "/v1/admin/loras/ania/versions/v1"))[1] == version


async def test_the_live_version_moves_and_goes_back(server: Server) -> None:
    await add(server, "bea", 10, 11, 12)
    status, moved = await server.ask("PUT", "/v1/admin/loras/bea/live", json={"version": 3, "if_live": 1})
    assert (status, moved["before"], moved["to"], moved["by"]) == (200, 1, 3, "owner")
    status, refused = await server.ask("PUT", "/v1/admin/loras/bea/live", json={"version": 2, "if_live": 1})
    assert (status, refused["error"]["code"], refused["error"]["details"]) == (409, "conflict", {"live": 3})
    status, moved = await server.ask("POST", "/v1/admin/loras/bea/rollback", json={"if_live": 3})
    assert (status, moved["to"]) == (200, 1)
    assert (await server.ask("POST", "/v1/admin/loras/bea/rollback"))[0] == 409  # nothing was live before v1

    found = await character(server, "bea")
    assert [(each["version"], each["live"]) for each in found["versions"]] == [(3, False), (2, False), (1, True)]
    assert [(move["before"], move["to"]) for move in found["moves"]] == [(3, 1), (1, 3), (None, 1)]


async def test_the_list(server: Server) -> None:
    await add(server, "cleo", 20, 21)
    _, found = await server.ask("GET", "/v1/admin/loras")
    names = [(each["name"], -each["version"]) for each in found["loras"]]
    assert names == sorted(names)
    assert ("cleo", -2) in names
    _, found = await server.ask("GET", "/v1/admin/loras?name=cleo")
    assert [(each["name"], each["version"], each["dim"]) for each in found["loras"]] == [
        ("cleo", 2, 32),
        ("cleo", 1, 32),
    ]


async def test_keeping_a_character_on_the_hosts(server: Server) -> None:
    await add(server, "dora", 30)
    assert (await server.ask("PUT", "/v1/admin/loras/dora/hot", json={"hot": True}))[1]["hot"] is True
    assert (await server.ask("PUT", "/v1/admin/loras/dora/hot", json={"hot": False}))[1]["hot"] is False


async def test_a_file_is_hashed_anew(server: Server) -> None:
    await add(server, "eva", 40)
    status, found = await server.ask("POST", "/v1/admin/loras/eva/versions/1/verify")
    assert (status, found) == (200, {"store": "sound", "hosts": {}})
    stored = server.app[FOLDER].objects / "loras" / f"{hashlib.sha256(file(40)).hexdigest()}.safetensors"
    stored.write_bytes(b"something else")
    assert (await server.ask("POST", "/v1/admin/loras/eva/versions/1/verify"))[1]["store"] == "damaged"


async def test_what_a_new_base_leaves_behind(server: Server) -> None:
    await add(server, "fay", 50)
    _, found = await server.ask("GET", "/v1/admin/lora-retrain?base=pony")
    assert {"name": "fay", "version": 1, "certain": True}.items() <= next(
        each for each in found["loras"] if each["name"] == "fay"
    ).items()
    assert (await server.ask("GET", f"/v1/admin/lora-retrain?base=pony&new={made.PONY}"))[1] == {"loras": []}
    status, refused = await server.ask("GET", "/v1/admin/lora-retrain?base=ponny")
    assert (status, refused["error"]["code"]) == (400, "invalid_request")


async def test_hosts_are_asked_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    async with Host(tmp_path / "host").running() as host:
        hosts = {"gpu": {"url": host.url, "token": TOKEN}, "gone": {"url": "http://127.0.0.1:9", "token": TOKEN}}
        async with shared_server(tmp_path / "data", comfy_hosts=hosts) as running:
            await add(running, "halina", 80, 81)
            live = await running.app[LORAS].registry.live("home", "halina")
            assert live is not None
            await running.app[PUSHER].ensure("gpu", live)
            _, found = await running.ask("POST", "/v1/admin/loras/halina/versions/1/verify")
            assert found == {"store": "sound", "hosts": {"gpu": "sound", "gone": "unreachable"}}
            _, found = await running.ask("POST", "/v1/admin/loras/halina/versions/2/verify")
            assert found["hosts"] == {"gpu": "absent", "gone": "unreachable"}
            await running.ask("PUT", "/v1/admin/loras/halina/hot", json={"hot": True})

            async def pinned() -> bool:
                return bool(list(host.folder.rglob("*.pin")))

            await until(pinned)
            _, metrics = await running.ask("GET", "/metrics")
            assert b'vestige_lora_pushes_total{host="gpu",outcome="sent"} 1.0' in metrics


@pytest.mark.parametrize(
    ("data", "headers", "status", "code"),
    [
        (b"\x80\x02}q\x00." + bytes(64), FILE, 422, "invalid_lora"),
        (b"PK\x03\x04" + bytes(64), FILE, 422, "invalid_lora"),
        (made.lora() + b"\x00", FILE, 422, "invalid_lora"),
        (b"", FILE, 422, "invalid_lora"),
        (made.lora(), {"Content-Type": "multipart/form-data; boundary=x"}, 415, "unsupported_media"),
        (made.lora(), {**FILE, "Content-Encoding": "gzip"}, 415, "unsupported_media"),
    ],
)
async def test_what_is_refused(server: Server, data: bytes, headers: dict[str, str], status: int, code: str) -> None:
    answered, body = await server.ask("POST", "/v1/admin/lora-files", data=data, headers=headers)
    assert (answered, body["error"]["code"]) == (status, code)


async def test_more_than_a_request_may_otherwise_carry(server: Server) -> None:
    data = made.lora({f"lora_unet_{at}.lora_down.weight": (64, 32_768) for at in range(4)})  # 16 MB
    status, sent = await server.ask("POST", "/v1/admin/lora-files", data=io.BytesIO(data), headers=FILE)
    assert (status, sent["sha256"]) == (201, hashlib.sha256(data).hexdigest())


async def test_a_sender_who_leaves_half_way_leaves_nothing(server: Server) -> None:
    async def half() -> AsyncIterator[bytes]:
        yield file(60)[:20_000]
        raise RuntimeError("gone")

    with pytest.raises(aiohttp.ClientConnectionError):
        await server.ask("POST", "/v1/admin/lora-files", data=half(), headers=FILE)

    async def gone() -> bool:
        return not list((server.app[FOLDER].run / "loras").iterdir())

    await until(gone)
    assert (await server.ask("GET", f"/v1/admin/lora-files/{hashlib.sha256(file(60)).hexdigest()}"))[0] == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/admin/loras/nobody", 404),
        ("GET", "/v1/admin/loras/nobody/versions/1", 404),
        ("GET", "/v1/admin/loras/ania/versions/latest", 404),
        ("GET", "/v1/admin/loras/ania/versions/9999999", 404),
        ("POST", "/v1/admin/loras/nobody/rollback", 404),
        ("GET", "/v1/admin/loras/No%2F..%2FName", 400),
        ("GET", "/v1/admin/lora-files/..%2F..%2Fetc", 404),
        ("GET", f"/v1/admin/lora-files/{'0' * 64}", 404),
    ],
)
async def test_what_is_not_there(server: Server, method: str, path: str, status: int) -> None:
    answered, body = await server.ask(method, path)
    assert answered == status, body


async def test_no_persons_id_is_kept(server: Server) -> None:
    accounts = server.app[ACCOUNTS]
    zoe = await accounts.add_user("home", "Zoe", role="admin")
    _, bound = await accounts.create_key("home", "zoe's", ["admin"], user_id=zoe.id)
    by_key = Server(server.app, server.port, server.fake, server.session, bound)
    await add(by_key, "zoes", 90)
    found = await character(server, "zoes")
    version = (await server.ask("GET", "/v1/admin/loras/zoes/versions/1"))[1]
    assert zoe.id not in str(found) + str(version)


async def test_only_admins_and_each_tenant_its_own(server: Server) -> None:
    await add(server, "gina", 70)
    sha256 = hashlib.sha256(file(70)).hexdigest()
    member = await server.as_user("Anna")
    for path in ("loras", "loras/gina", f"lora-files/{sha256}", "lora-retrain?base=pony"):
        assert (await member.ask("GET", f"/v1/admin/{path}"))[0] == 403
    assert (await member.ask("POST", "/v1/admin/lora-files", data=file(70), headers=FILE))[0] == 403

    _, secret = await server.app[ACCOUNTS].create_key("acme", "theirs", ["admin"])
    other = Server(server.app, server.port, server.fake, server.session, secret)
    assert (await other.ask("GET", "/v1/admin/loras"))[1] == {"loras": []}
    assert (await other.ask("POST", "/v1/admin/loras/gina/versions", json={"sha256": sha256}))[
        0
    ] == 404  # knowing it is no right
    await add(other, "gina", 70)
    assert (await character(other, "gina"))["live"] == 1
