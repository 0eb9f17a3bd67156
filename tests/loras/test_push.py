"""LoRAs on their way to hosts: the pack's own routes at the other end, and a way there that breaks."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from comfy_nodes.outfit_tuner.routes.auth import TOKEN_VARIABLE
from server.errors import HostUnavailable, NotFound, RenderError, StoreUnavailable
from server.loras.door import Door, Refused, State
from server.loras.files import LoraFiles, path_of
from server.loras.names import at_hosts, name_at_hosts, registered
from server.loras.push import Pusher, open_pusher
from server.loras.records import LoraVersion
from server.loras.registry import Registry
from server.settings import Settings
from server.stores.objects import Objects
from server.stores.objects_open import open_objects
from server.stores.redis import RedisPair
from tests.loras import lora_files as made
from tests.loras.pack_host import TOKEN, Host

DATA = made.lora({f"lora_unet_{at}.lora_down.weight": (64, 4_096) for at in range(2)})  # 1 MB
PIECE = 100_000


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    async with Host(tmp_path / "host").running() as running:
        yield running


@pytest.fixture
async def objects(make_settings: Callable[..., Settings], tmp_path: Path) -> AsyncIterator[Objects]:
    async with open_objects(make_settings(objects_url=str(tmp_path / "objects"))) as opened:
        yield opened


@pytest.fixture
def registry(redis_pair: RedisPair) -> Registry:
    return Registry(redis_pair.busy)


async def stream(data: bytes) -> AsyncIterator[bytes]:
    yield data


@pytest.fixture
async def version(objects: Objects, registry: Registry, tmp_path: Path) -> LoraVersion:
    """Halina's v1, live, in store and registry."""
    return await added(objects, registry, tmp_path, DATA)


async def added(objects: Objects, registry: Registry, tmp_path: Path, data: bytes) -> LoraVersion:
    file, _ = await LoraFiles(objects, tmp_path / "spool").take(stream(data))
    record, _ = await registry.add("home", "halina", file, by="owner")
    return LoraVersion("halina", record.version, file.sha256)


@pytest.fixture
async def make(objects: Objects, registry: Registry) -> AsyncIterator[Callable[..., object]]:
    """A pusher to hosts by name, with small pieces and short waits."""
    async with AsyncExitStack() as stack:

        async def pusher(token: str = TOKEN, **hosts: str) -> Pusher:
            opened = await stack.enter_async_context(
                open_pusher([(name, url, token) for name, url in hosts.items()], objects, registry)
            )
            opened._piece_bytes, opened._wait_seconds = PIECE, 0.001
            return opened

        yield pusher


async def test_a_version_goes_where_it_is_needed_and_once(host: Host, version: LoraVersion, make: Callable) -> None:
    pusher = await make(gpu=host.url)
    await asyncio.gather(*(pusher.ensure("gpu", version) for _ in range(5)))
    assert (host.folder / "vestige" / "halina_v1.safetensors").read_bytes() == DATA
    assert sum(method == "PUT" and path.endswith("/1") for method, path in host.seen) == -(-len(DATA) // PIECE)
    host.seen.clear()
    await pusher.ensure("gpu", version)
    assert [method for method, _ in host.seen] == ["GET"]


async def test_who_comes_while_the_second_sends_waits_too(
    host: Host, version: LoraVersion, make: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    pusher = await make(gpu=host.url)
    begun, go_on, asking = 0, asyncio.Semaphore(0), []

    async def look(*_: object) -> State:
        return State(whole=False, received=0)

    async def push(*_: object) -> None:
        nonlocal begun
        begun += 1
        await go_on.acquire()

    monkeypatch.setattr(Door, "look", look)
    monkeypatch.setattr(pusher, "_push", push)

    async def come() -> None:
        asking.append(asyncio.create_task(pusher.ensure("gpu", version)))
        await settled()

    async def settled() -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    await come()
    await come()  # while the first sends
    go_on.release()
    await settled()
    await come()  # while the second does
    assert begun == 2
    for _ in asking:
        go_on.release()
    await asyncio.gather(*asking)
    assert begun == 3


async def test_broken_off_and_resumed(host: Host, version: LoraVersion, make: Callable) -> None:
    host.budget = 450_000
    with pytest.raises(HostUnavailable, match="gpu cannot be reached"):
        await (await make(gpu=host.url)).ensure("gpu", version)
    assert host.listed() == {}
    arrived = sum(path.stat().st_size for path in (host.folder / "vestige").glob("*.part"))
    assert 400_000 <= arrived <= 450_000

    host.budget = len(DATA) - arrived + 10_000  # enough for the rest and nothing more
    await (await make(gpu=host.url)).ensure("gpu", version)  # another server, which knows of nothing
    assert hashlib.sha256(host.listed()["vestige/halina_v1.safetensors"].read_bytes()).hexdigest() == version.sha256


async def test_a_way_that_breaks_again_and_again_is_gone_all_the_same(
    host: Host, version: LoraVersion, make: Callable
) -> None:
    pusher, whole = await make(gpu=host.url), False

    async def breaking() -> None:
        while not whole:
            host.budget = 130_000
            await asyncio.sleep(0.02)

    breaker = asyncio.create_task(breaking())
    try:
        for _ in range(200):
            try:
                await pusher.ensure("gpu", version)
                break
            except HostUnavailable:
                continue
    finally:
        whole = True
        await breaker
    assert host.listed()["vestige/halina_v1.safetensors"].read_bytes() == DATA


async def test_two_workers_send_to_the_same_host(host: Host, version: LoraVersion, make: Callable) -> None:
    one, other = await make(gpu=host.url), await make(gpu=host.url)
    await asyncio.gather(one.ensure("gpu", version), other.ensure("gpu", version))
    assert host.listed()["vestige/halina_v1.safetensors"].read_bytes() == DATA


async def test_what_came_wrong_is_sent_anew(host: Host, version: LoraVersion, make: Callable) -> None:
    (host.folder / "vestige").mkdir()
    part = host.folder / "vestige" / f"halina_v1.safetensors.{version.sha256}.part"
    for rubbish in (b"x" * 5_000, b"x" * len(DATA), b"x" * (len(DATA) + 7)):
        part.write_bytes(rubbish)
        await (await make(gpu=host.url)).ensure("gpu", version)
        path = host.listed()["vestige/halina_v1.safetensors"]
        assert path.read_bytes() == DATA
        path.unlink()


async def test_a_file_that_is_damaged_in_the_store_goes_out_twice_and_no_more(
    host: Host, version: LoraVersion, make: Callable, tmp_path: Path
) -> None:
    (tmp_path / "objects" / path_of(version.sha256)).write_bytes(DATA[:-1] + b"\xff")
    with pytest.raises(Refused, match="not the file that was announced") as refused:
        await (await make(gpu=host.url)).ensure("gpu", version)
    assert refused.value.details["host_code"] == "wrong_content"
    assert sum(method == "PUT" for method, _ in host.seen) == 2 * -(-len(DATA) // PIECE)
    assert host.listed() == {}


async def test_a_store_that_fails_on_the_way_is_named(
    host: Host, version: LoraVersion, make: Callable, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(*_: object) -> AsyncIterator[bytes]:
        yield DATA[:1_000]
        raise StoreUnavailable("The object store is away.", store="objects")

    monkeypatch.setattr(objects, "read", failing)
    with pytest.raises(StoreUnavailable, match="is away"):
        await (await make(gpu=host.url)).ensure("gpu", version)


async def test_the_editor_there_wears_what_is_live(
    host: Host, version: LoraVersion, make: Callable, registry: Registry, objects: Objects, tmp_path: Path
) -> None:
    second = await added(objects, registry, tmp_path, made.lora())
    pusher = await make(gpu=host.url)
    await pusher.ensure("gpu", version)
    await pusher.ensure("gpu", second)
    assert host.live("halina") == 1  # though v2 is higher
    await registry.promote("home", "halina", 2, by="owner")
    async with asyncio.timeout(20):
        while host.live("halina") != 2:  # noqa: ASYNC110 - it follows in its own time
            await asyncio.sleep(0.01)


async def test_the_live_version_of_a_hot_character_is_pinned(
    host: Host, version: LoraVersion, make: Callable, registry: Registry, objects: Objects, tmp_path: Path
) -> None:
    async def pinned(*numbers: int) -> None:
        names = {f"halina_v{number}.safetensors.pin" for number in numbers}
        async with asyncio.timeout(20):
            while {path.name for path in host.folder.rglob("*.pin")} != names:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    second = await added(objects, registry, tmp_path, made.lora())
    pusher = await make(gpu=host.url)
    await registry.set_hot("home", "halina", True)
    await pusher.ensure("gpu", version)
    await pusher.ensure("gpu", second)
    await pinned(1)
    await registry.promote("home", "halina", 2, by="owner")
    await pinned(2)
    await registry.set_hot("home", "halina", False)
    await pusher.follow("home", second)
    await pinned()


async def test_files_on_hosts_are_hashed_anew(host: Host, version: LoraVersion, make: Callable, tmp_path: Path) -> None:
    async with Host(tmp_path / "other").running() as other:
        pusher = await make(gpu=host.url, other=other.url, gone="http://127.0.0.1:9")
        await pusher.ensure("gpu", version)
        expected = {"gpu": "sound", "other": "absent", "gone": "unreachable"}
        assert await pusher.verify("home", version) == expected
        host.listed()["vestige/halina_v1.safetensors"].write_bytes(b"x")
        assert await pusher.verify("home", version) == {**expected, "gpu": "damaged"}


async def test_what_a_host_refuses(host: Host, version: LoraVersion, make: Callable, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="gpu: The token is not the one"):
        await (await make("another-token-than-the-hosts", gpu=host.url)).ensure("gpu", version)
    (host.folder / "halina_v1.safetensors").write_bytes(made.lora())
    with pytest.raises(Refused, match="Another file is v1 of halina on this host") as taken:
        await (await make(gpu=host.url)).ensure("gpu", version)
    assert taken.value.details["host_code"] == "version_taken"
    async with Host(tmp_path / "small", limit=len(DATA) - 1).running() as small:
        with pytest.raises(Refused, match="do not fit") as full:
            await (await make(gpu=small.url)).ensure("gpu", version)
        assert full.value.details["host_code"] == "no_room"


async def test_a_host_without_our_pack(version: LoraVersion, make: Callable) -> None:
    async with TestServer(web.Application()) as bare:
        with pytest.raises(RenderError, match=r"gpu takes no LoRAs \(status 404\): install or update our node pack"):
            await (await make(gpu=str(bare.make_url("/")))).ensure("gpu", version)


async def test_what_is_not_there(host: Host, version: LoraVersion, make: Callable) -> None:
    pusher = await make(gpu=host.url)
    with pytest.raises(NotFound, match="no ComfyUI host 'gpu2'"):
        await pusher.ensure("gpu2", version)
    with pytest.raises(StoreUnavailable, match="lacks the file of halina v7"):
        await pusher.ensure("gpu", LoraVersion("halina", 7, "0" * 64))


def test_names_at_hosts() -> None:
    for tenant, name, there in (("home", "halina", "halina"), ("acme", "halina", "acme.halina")):
        assert name_at_hosts(tenant, name) == there
        assert registered(there) == (tenant, name)
    assert at_hosts("acme", LoraVersion("halina", 2, "x")) == LoraVersion("acme.halina", 2, "x")
