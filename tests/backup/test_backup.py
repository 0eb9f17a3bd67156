"""A backup and back: the same conversations, the same recall, whatever happened on the way."""

import asyncio
import tarfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from server.api.backup import SOURCES
from server.api.services import OBJECTS
from server.app import REDIS
from server.backup.archive import BackupError, Manifest, read_manifest
from server.backup.keys import keys_of
from server.backup.restore import restore_backup
from server.backup.take import take_backup
from server.settings import Settings
from tests.catalog.cardfiles import png
from tests.fakes.openai_server import FakeOpenAI
from tests.harness import Json, Server, running

pytestmark = pytest.mark.asyncio(loop_scope="module")
QUESTIONS = ("what is the cat called", "where does my sister live", "olives")


@dataclass(frozen=True)
class Original:
    server: Server
    file: Path
    mira: str
    settings: Settings


def settings_for(data: Path, fake: FakeOpenAI) -> Settings:
    return Settings(data=data, embedder="hash", shards=2, llm_base_url=fake.base_url, llm_model="fake-model")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def original(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Original]:
    """A server with a conversation of several windows, a pin, a summary, a second person, a picture and a key."""
    folder = tmp_path_factory.mktemp("backup")
    async with FakeOpenAI() as fake:
        settings = settings_for(folder / "data", fake)
        async with running(settings, fake) as server:
            mira = await server.character(name="Mira")
            texts = ("My cat is called Ophelia", "My sister lives in Riga", "I cannot stand olives", "Good night 🌙")
            for at in range(14):
                server.fake.next(f"I see {at}.")
                assert (await server.say(mira, f"{texts[at % 4]}, as I said {at} times"))[0] == 200
            await server.memory.upkeep(server.scope(mira))
            assert (await server.ask("POST", f"/v1/memory/{mira}/pins", json={"text": "Likes the sea."}))[0] == 201
            assert (await server.ask("PUT", f"/v1/memory/{mira}/summary", json={"text": "Old friends."}))[0] == 200
            ada = await server.as_user("Ada")
            hers = await ada.character(name="Hers")
            ada.fake.next("Hello.")
            assert (await ada.say(hers, "A secret"))[0] == 200
            await server.ask("PUT", f"/v1/characters/{mira}/avatar", data=png(), headers={"Content-Type": "image/png"})
            await server.app[OBJECTS].put("references/" + "a" * 64 + ".png", png())
            file = folder / "vestige.tar"
            file.write_bytes(b"".join([piece async for piece in take_backup(server.app[SOURCES])]))
            yield Original(server, file, mira, settings)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def seen(server: Server, mira: str) -> Json:
    """All that a person could look at."""
    _, export = await server.ask("GET", f"/v1/memory/{mira}/export")
    found = {"export": export, "state": await server.memory.state(server.scope(mira))}
    for question in QUESTIONS:
        status, found[question] = await server.ask("GET", f"/v1/memory/{mira}/search?q={question}&tokens=60")
        assert status == 200
        for span in found[question]["spans"]:
            for turn in span["turns"]:
                del turn["score"]  # vectors that were just made are finer than stored ones
    return found


async def test_a_restore_gives_the_same_recall(original: Original, tmp_path: Path) -> None:
    before = await seen(original.server, original.mira)
    target = settings_for(tmp_path / "restored", original.server.fake)
    manifest = await restore_backup(original.file, target)
    assert manifest.counts["conversations"] == 2
    assert manifest.counts["windows"] >= 3
    async with running(target, original.server.fake) as restored:
        assert await seen(restored, original.mira) == before
        assert any(
            turn["text"].startswith("My cat") for span in before[QUESTIONS[0]]["spans"] for turn in span["turns"]
        )
        _, users = await restored.ask("GET", "/v1/admin/users")
        assert "Ada" in [one["name"] for one in users["users"]]
        assert (await restored.ask("GET", f"/v1/characters/{original.mira}/avatar"))[0] == 200
        assert await restored.app[OBJECTS].get("references/" + "a" * 64 + ".png", most=1 << 20) == png()
        restored.fake.next("Welcome back.")
        assert (await restored.say(original.mira, "It goes on"))[0] == 200
    assert names(tmp_path) == ["restored"]


async def test_it_comes_over_http_while_people_talk(original: Original, tmp_path: Path) -> None:
    server = original.server
    talking = await server.character(name="Busy")
    going = asyncio.Event()

    async def talk() -> None:
        while not going.is_set():
            server.fake.next("Yes.")
            await server.say(talking, "And then?")

    talker = asyncio.create_task(talk())
    try:
        async with server.session.get(f"{server.url}/v1/admin/backup", headers=server.headers()) as response:
            assert response.status == 200
            assert response.headers["Content-Disposition"].startswith("attachment")
            data = await response.read()
    finally:
        going.set()
        await talker
    (tmp_path / "busy.tar").write_bytes(data)
    await restore_backup(tmp_path / "busy.tar", settings_for(tmp_path / "restored", server.fake))
    async with running(settings_for(tmp_path / "restored", server.fake), server.fake) as restored:
        _, export = await restored.ask("GET", f"/v1/memory/{talking}/export")
        texts = [message["text"] for message in export["messages"] if message["role"] == "user"]
        assert set(texts) <= {"And then?"}


async def test_a_tenant_may_be_called_what_it_likes(original: Original) -> None:
    """What is of a moment only has braces in its name, which no tenant has."""
    state = original.server.app[REDIS].state
    kept, left_out = "vestige:loras:fleet:live", "vestige:{fleet}:version"
    await state.hset(kept, "halina", "1")
    await state.set(left_out, "1")
    try:
        assert [one for one in await keys_of(state) if "fleet" in one] == [kept]
    finally:
        await state.delete(kept, left_out)


async def test_only_the_owner_may(original: Original) -> None:
    """An admin sees one tenant, and a backup is all of them."""
    server = original.server
    bea = await server.as_user("Bea")
    assert (await bea.ask("GET", "/v1/admin/backup"))[0] == 403
    for tenant in ("home", "acme"):
        key = {"name": "theirs", "scopes": ["admin"], "tenant": tenant}
        _, made = await server.ask("POST", "/v1/admin/keys", json=key)
        status, refused = await server.with_token(made["secret"]).ask("GET", "/v1/admin/backup")
        assert (status, refused["error"]["code"]) == (403, "forbidden")


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2 // 512 * 512]


def flipped(data: bytes) -> bytes:
    at = data.index(b"PNG") + 20  # in a picture's pixels
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (cut, "cut off|cannot be read"),
        (lambda data: data[:-9_000], "cut off|damaged|cannot be read"),
        (flipped, "damaged at"),
        (lambda data: b"", "cut off|cannot be read"),
        (lambda data: b"PK\3\4" + data, "cannot be read"),
        (lambda data: data.replace(b'"version": 1', b'"version": 9'), "newer vestige"),
    ],
)
async def test_a_damaged_file_is_refused_and_nothing_is_left(
    original: Original, tmp_path: Path, spoil: Callable[[bytes], bytes], said: str
) -> None:
    bad = tmp_path / "bad.tar"
    bad.write_bytes(spoil(original.file.read_bytes()))
    with pytest.raises(BackupError, match=said):
        await restore_backup(bad, settings_for(tmp_path / "restored", original.server.fake))
    assert names(tmp_path) == ["bad.tar"]


@pytest.mark.parametrize("name", ["../outside", "characters/../../outside", "/etc/passwd", "elsewhere/x"])
async def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo(name))
    with pytest.raises(BackupError, match="no backup of Vestige"):
        read_manifest(tmp_path / "bad.tar")


async def test_a_link_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("characters/home/mira/card.json")
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        tar.addfile(info)
    with pytest.raises(BackupError, match="no backup of Vestige"):
        read_manifest(tmp_path / "bad.tar")


async def test_what_is_there_is_never_overwritten(original: Original, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(BackupError, match="not empty"):
        await restore_backup(original.file, settings_for(tmp_path / "full", original.server.fake))
    assert (tmp_path / "full" / "mine.txt").read_text(encoding="utf-8") == "mine"


async def test_another_embedder_is_said_before_anything_is_written(original: Original, tmp_path: Path) -> None:
    other = settings_for(tmp_path / "restored", original.server.fake).model_copy(update={"embedder": "english"})
    with pytest.raises(BackupError, match="restore with that embedder"):
        await restore_backup(original.file, other)
    assert names(tmp_path) == []


async def test_the_manifest_says_what_is_in_it(original: Original) -> None:
    manifest = read_manifest(original.file)
    assert isinstance(manifest, Manifest)
    assert manifest.external == []
    assert manifest.counts["objects"] == 1
