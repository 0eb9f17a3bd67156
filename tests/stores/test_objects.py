"""The object store: the same behaviour over a folder and over S3 (moto's server), and what is particular to each."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from server.errors import NotFound, StartupError, StoreUnavailable, TooLarge
from server.settings import Settings
from server.stores import objects as objects_module
from server.stores.objects import PIECE_BYTES, Objects
from server.stores.objects_open import open_objects, remove_half_written
from tests.fakes.s3 import BUCKET, emptied, s3_server

MakeSettings = Callable[..., Settings]


@pytest.fixture(params=["folder", "s3"])
async def objects(request: pytest.FixtureRequest, make_settings: MakeSettings) -> AsyncIterator[Objects]:
    url = None if request.param == "folder" else request.getfixturevalue("s3")
    async with open_objects(make_settings(objects_url=url)) as opened:
        yield opened


@pytest.fixture
async def in_folder(make_settings: MakeSettings) -> AsyncIterator[Objects]:
    async with open_objects(make_settings()) as opened:
        yield opened


@pytest.fixture
def root(settings: Settings) -> Path:
    return settings.data / "objects"


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def entries(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


async def paths(objects: Objects, prefix: str) -> list[str]:
    return sorted([each.path async for each in objects.list(prefix)])


async def test_what_was_put_is_there_until_it_is_deleted(objects: Objects) -> None:
    await objects.put("previews/ab/abc/record.json", b"{}")
    assert await objects.get("previews/ab/abc/record.json", most=2) == b"{}"
    there = await objects.head("previews/ab/abc/record.json")
    assert there is not None
    assert (there.path, there.size) == ("previews/ab/abc/record.json", 2)
    assert abs(there.modified - datetime.now(UTC)) < timedelta(minutes=1)
    await objects.delete("previews/ab/abc/record.json", "previews/ab/never")
    await objects.delete("previews/ab/abc/record.json")
    assert await objects.head("previews/ab/abc/record.json") is None


async def test_putting_twice_is_once_and_the_last_one_counts(objects: Objects) -> None:
    for content in (b"one", b"one", b"two"):
        await objects.put("a/x.png", content)
    assert await paths(objects, "a") == ["a/x.png"]
    assert await objects.get("a/x.png", most=10) == b"two"


async def test_adding_leaves_what_is_there_unless_it_is_broken(objects: Objects) -> None:
    assert await objects.add("a/x.png", b"one")
    assert not await objects.add("a/x.png", b"two")
    assert await objects.get("a/x.png", most=10) == b"one"
    assert await objects.add("a/x.png", b"longer")  # what was there is no whole copy of it
    assert await objects.get("a/x.png", most=10) == b"longer"


async def test_of_many_that_add_at_once_one_is_first(objects: Objects) -> None:
    assert sum(await asyncio.gather(*(objects.add("a/x.png", bytes([n]) * 9) for n in range(12)))) == 1
    content = await objects.get("a/x.png", most=9)
    assert content == content[:1] * 9


async def test_files_go_up_in_parts_and_come_down_in_pieces(objects: Objects, tmp_path: Path) -> None:
    file = tmp_path / "large.safetensors"
    content = os.urandom(2 * PIECE_BYTES + 77)
    file.write_bytes(content)
    await objects.put("loras/l.safetensors", file)
    assert not await objects.add("loras/l.safetensors", file)
    pieces = [piece async for piece in objects.read("loras/l.safetensors")]
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) <= PIECE_BYTES


@pytest.mark.parametrize(("start", "end"), [(0, 4), (3, None), (3, 99), (9, 12), (10, None), (4, 4), (5, 2)])
async def test_a_part_of_an_object(objects: Objects, start: int, end: int | None) -> None:
    await objects.put("a/x.png", b"0123456789")
    assert b"".join([piece async for piece in objects.read("a/x.png", start, end)]) == b"0123456789"[start:end]


async def test_an_object_replaced_while_it_is_read_does_not_give_two_halves(
    objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects_module, "PIECE_BYTES", 5)
    await objects.put("a/x.png", b"0123456789")
    async with aclosing(objects.read("a/x.png")) as reading:
        assert await anext(reading) == b"01234"
        await objects.put("a/x.png", b"abcdefghij")
        with pytest.raises(StoreUnavailable):
            await anext(reading)


async def test_only_what_is_under_a_prefix_is_listed(objects: Objects) -> None:
    for path in ("a/1.png", "a/b/2.png", "ab/3.png"):
        await objects.put(path, b"x")
    assert await paths(objects, "a") == ["a/1.png", "a/b/2.png"]
    assert await paths(objects, "nothing") == []


async def test_what_is_not_there_or_too_large_says_so(objects: Objects) -> None:
    with pytest.raises(NotFound):
        await objects.get("a/x.png", most=1)
    with pytest.raises(NotFound):
        [piece async for piece in objects.read("a/x.png")]
    await objects.put("a/x.png", b"ten bytes.")
    with pytest.raises(TooLarge):
        await objects.get("a/x.png", most=9)
    await objects.check()


@pytest.mark.parametrize(
    "path", ["", "/a", "a/", "../a", "a/../b", "a//b", "a\\b", "a b", "ä.png", "a/.hidden", "A.png", "a?b", "a#1", "~"]
)
async def test_a_path_that_a_person_typed_is_a_bug(in_folder: Objects, path: str) -> None:
    for attempt in (in_folder.put(path, b""), in_folder.get(path, most=1), in_folder.delete(path)):
        with pytest.raises(ValueError, match="not a path"):
            await attempt


async def test_a_folder_keeps_to_itself_and_leaves_no_empty_ones(in_folder: Objects, root: Path) -> None:
    assert mode(root) == 0o700
    await in_folder.put("previews/ab/abc/picture.webp", b"x")
    await in_folder.delete("previews/ab/abc/picture.webp")
    assert entries(root) == []


async def test_a_folder_gives_no_links(in_folder: Objects) -> None:
    assert await in_folder.link("a/x.png", 60) is None


NO_SPACE = """
import asyncio, resource, signal, sys
from pathlib import Path
from server.errors import StoreUnavailable
from server.settings import Settings
from server.stores.objects_open import open_objects

async def main():
    async with open_objects(Settings(data=Path(sys.argv[1]))) as objects:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
        await objects.put("a/small.png", b"x")
        for content in (bytes(3_000_000), bytes(20_000_000)):
            try:
                await objects.put("a/large.png", content)
            except StoreUnavailable as error:
                print(error.message)
        print(await objects.head("a/large.png"))

asyncio.run(main())
"""


def test_a_write_that_finds_no_room_leaves_nothing(settings: Settings, root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NO_SPACE, str(settings.data)], capture_output=True, text=True, timeout=60
    )
    said = done.stdout.splitlines()
    assert said == ["The object store has no disk space left: nothing was saved."] * 2 + ["None"], done.stderr
    assert files(root) == ["a/small.png"]


KILLED = """
import asyncio, sys
from pathlib import Path
from server.settings import Settings
from server.stores.objects_open import open_objects

async def main():
    async with open_objects(Settings(data=Path(sys.argv[1]))) as objects:
        while True:
            await objects.put("a/x.png", bytes(30_000_000))
            print("put", flush=True)

asyncio.run(main())
"""


def test_a_kill_leaves_the_object_whole_and_what_is_half_written_goes(settings: Settings, root: Path) -> None:
    argv = [sys.executable, "-c", KILLED, str(settings.data)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"put\n"
        while files(root) == ["a/x.png"]:  # until the next one is on its way
            time.sleep(0.001)
        writer.send_signal(signal.SIGKILL)
    whole = root / "a" / "x.png"
    assert whole.stat().st_size == 30_000_000
    stop = threading.Event()
    remove_half_written(root, stop)  # young: another process may be writing it
    remove_half_written(root, stop, older=-1.0)
    assert files(root) == ["a/x.png"]


async def test_two_processes_may_use_one_folder(make_settings: MakeSettings) -> None:
    async with open_objects(make_settings()) as server, open_objects(make_settings()) as worker:
        await worker.put("previews/ab/abc/picture.webp", b"x")
        assert await server.get("previews/ab/abc/picture.webp", most=1) == b"x"


async def test_an_s3_object_has_its_type_and_a_link_that_stays_the_same(
    s3: str, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = CollectorRegistry()
    async with open_objects(make_settings(objects_url=s3), registry) as objects:
        await objects.put("previews/ab/abc/picture.webp", b"x")
        link = await objects.link("previews/ab/abc/picture.webp", 86_400)
        assert link is not None
        assert link == await objects.link("previews/ab/abc/picture.webp", 86_400)
        assert int(parse_qs(urlsplit(link).query)["X-Amz-Expires"][0]) >= 86_400
        answer = await asyncio.to_thread(httpx.get, link, trust_env=False)
        assert (answer.content, answer.headers["Content-Type"]) == (b"x", "image/webp")
        assert answer.headers["Cache-Control"] == "max-age=31536000, immutable"
        assert registry.get_sample_value("vestige_object_seconds_count", {"operation": "link"}) == 1
        later = time.time() + 90_000
        monkeypatch.setattr(time, "time", lambda: later)
        await objects.link("previews/ab/abc/picture.webp", 86_400)
        assert registry.get_sample_value("vestige_object_seconds_count", {"operation": "link"}) == 2


async def test_credentials_that_end_give_no_links(
    s3: str, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "for an hour")
    async with open_objects(make_settings(objects_url=s3)) as objects:
        assert await objects.link("a/x.png", 60) is None


async def test_variables_set_to_nothing_are_none(
    s3: str, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_SESSION_TOKEN", "AWS_ROLE_ARN"):
        monkeypatch.setenv(name, "")
    async with open_objects(make_settings(objects_url=s3)) as objects:
        assert await objects.link("a/x.png", 60) is not None


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.stores.objects_open._RETRY", timedelta(seconds=0))
    monkeypatch.setattr("server.stores.objects_open._CONNECT", timedelta(seconds=0.3))


@pytest.mark.parametrize(
    ("url", "endpoint", "says"),
    [
        ("s3://nobody-made-this", None, "no such bucket"),
        ("s3://pictures", "http://127.0.0.1:9", "cannot be reached"),
        ("s3://pictures", "no address", "AWS_ENDPOINT_URL"),
    ],
)
@pytest.mark.usefixtures("s3", "impatient")
async def test_a_bucket_that_cannot_be_used_stops_the_start(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, url: str, endpoint: str | None, says: str
) -> None:
    if endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(StartupError, match=says):
        async with open_objects(make_settings(objects_url=url)):
            pass


@pytest.mark.usefixtures("impatient")
async def test_a_store_that_goes_away_is_a_typed_error(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3_server() as address:
        for name, value in emptied(address).items():
            monkeypatch.setenv(name, value)
        async with open_objects(make_settings(objects_url=f"s3://{BUCKET}")) as objects:
            await objects.put("a/x.png", b"x")
    with pytest.raises(StoreUnavailable) as error:
        await objects.get("a/x.png", most=1)
    assert "127.0.0.1" not in error.value.message
    assert error.value.details["store"] == "objects"


async def test_a_folder_that_is_a_file_stops_the_start(make_settings: MakeSettings, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StartupError, match="cannot be written to"):
        async with open_objects(make_settings(objects_url=str(tmp_path / "file"))):
            pass


@pytest.mark.parametrize(
    "url", ["s3://", "s3://Bucket", "s3://b", "https://s3.example.org/b", "relative", "s3://buck/../x"]
)
def test_a_url_that_names_no_store_is_refused(make_settings: MakeSettings, url: str) -> None:
    with pytest.raises(ValueError, match="neither s3://"):
        make_settings(objects_url=url)


async def test_requests_are_counted(make_settings: MakeSettings) -> None:
    registry = CollectorRegistry()
    async with open_objects(make_settings(), registry) as objects:
        await objects.put("a/x.png", b"x")
        await objects.head("a/y.png")
    text = generate_latest(registry).decode()
    assert 'vestige_object_requests_total{operation="put",outcome="ok"} 1.0' in text
    assert 'vestige_object_requests_total{operation="head",outcome="missing"} 1.0' in text
