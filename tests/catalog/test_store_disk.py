"""What people and disks do to the folder: files put there, edited, broken; no space left; a crash."""

import asyncio
import errno
import json
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from server.catalog.models import CharacterChanges, CharacterDraft
from server.catalog.records import Viewer
from server.catalog.store import CharacterStore
from server.errors import InvalidCard, NotFound, StoreUnavailable
from tests.catalog.cardfiles import charx, json_card, png, png_card, v1, v3
from tests.catalog.conftest import files_under

T = "home"
ADA, BEN, ADMIN = Viewer("ada"), Viewer("ben"), Viewer("root", admin=True)


async def names(store: CharacterStore, viewer: Viewer = ADA) -> list[str]:
    return [record.card.name for record in await store.list(T, viewer) if record.id not in SAMPLES]


SAMPLES = ("halina-wrobel", "wendell-sarpong")


@pytest.fixture
async def tenant(store: CharacterStore, folder: Path) -> Path:
    """The folder of a tenant with one character, `odile`, of Ada's."""
    await store.create(T, CharacterDraft(name="Odile", description="A bookbinder."), "ada")
    return folder / T


async def test_a_card_put_in_a_folder_is_a_shared_character(store: CharacterStore, tenant: Path) -> None:
    (tenant / "iris").mkdir()
    (tenant / "iris" / "card.json").write_bytes(json_card(v1(name="Iris")))
    assert await names(store, BEN) == ["Iris"]
    record = await store.get(T, "iris", BEN)
    assert (record.owner, record.shared) == (None, True)
    changed = await store.update(T, "iris", CharacterChanges(scenario="x"), ADMIN)
    assert (changed.created, changed.card.document["data"]["name"]) == (record.created, "Iris")


@pytest.mark.parametrize(("named", "id"), [("Iris & Co", "iris-co"), ("Iris.json", "iris-json"), ("ODILE", "odile-2")])
async def test_a_folder_with_a_name_that_is_no_id_gets_one(
    store: CharacterStore, tenant: Path, named: str, id: str
) -> None:
    (tenant / named).mkdir()
    (tenant / named / "card.json").write_bytes(json_card(v1(name="Iris")))
    assert await names(store, BEN) == ["Iris"]
    assert (await store.get(T, id, BEN)).card.name == "Iris"
    assert not (tenant / named).exists()


@pytest.mark.parametrize(
    ("file", "content", "portrait"),
    [
        ("Iris v2.json", json_card(v3(name="Iris")), False),
        ("Iris.PNG", png_card(v3(name="Iris"), "ccv3"), True),
        ("iris.charx", charx({"card.json": json_card(v3(name="Iris"))}), False),
    ],
)
async def test_a_card_file_dropped_beside_the_folders_is_taken_in_once(
    store: CharacterStore, tenant: Path, file: str, content: bytes, portrait: bool
) -> None:
    (tenant / file).write_bytes(content)
    assert await names(store, BEN) == ["Iris"]
    assert await names(store, BEN) == ["Iris"]
    assert (await store.get(T, "iris", BEN)).avatar is not None or not portrait
    assert not (tenant / file).exists()
    [source] = (tenant / "iris").glob("source.*")
    assert source.read_bytes() == content
    await store.delete(T, "iris", ADMIN)
    assert not source.exists()


async def test_a_dropped_file_that_is_no_card_stays_and_is_said_once(store: CharacterStore, tenant: Path) -> None:
    (tenant / "photo.png").write_bytes(png())
    with capture_logs() as logs:
        assert await names(store) == ["Odile"]
        assert await names(store) == ["Odile"]
    assert [(entry["event"], entry["file"]) for entry in logs] == [("card_file_refused", "photo.png")]
    (tenant / "photo.png").write_bytes(png_card(v3(name="Iris")))
    assert await names(store) == ["Iris", "Odile"]


async def test_a_file_edited_by_hand_is_seen_at_once(store: CharacterStore, tenant: Path) -> None:
    before = await store.get(T, "odile", ADA)
    path = tenant / "odile" / "card.json"
    path.write_text(path.read_text().replace("A bookbinder.", "A printer."))
    after = await store.get(T, "odile", ADA)
    assert after.card.description == "A printer."
    assert after.etag != before.etag
    assert after.owner == "ada"


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff\xff", b'{"data": {}}', b"[" * 100_000, bytes(5_000_000), b'{"name": "a", "name": "b"}'],
)
async def test_a_broken_file_is_shown_to_admins_and_stops_nobody(
    store: CharacterStore, tenant: Path, content: bytes
) -> None:
    (tenant / "odile" / "card.json").write_bytes(content)
    with capture_logs() as logs:
        assert await names(store, ADA) == []
        [damaged] = [record for record in await store.list(T, ADMIN) if record.damaged]
    assert (damaged.id, damaged.card.name, damaged.owner) == ("odile", "odile", None)
    assert [(entry["event"], entry["character"]) for entry in logs] == [("character_damaged", "odile")]
    with pytest.raises(InvalidCard, match="file is damaged"):
        await store.get(T, "odile", ADMIN)
    with pytest.raises(NotFound):
        await store.get(T, "odile", ADA)
    with pytest.raises(InvalidCard):
        await store.update(T, "odile", CharacterChanges(scenario="x"), ADMIN)
    await store.delete(T, "odile", ADMIN)
    assert not (tenant / "odile").exists()


@pytest.mark.parametrize(
    "kept",
    [None, 7, {}, {"owner": "../root", "shared": True}, {"owner": 5}, {"created": "yesterday"}, {"shared": "yes"}],
)
async def test_ownership_edited_into_nonsense_never_gives_anyone_more(
    store: CharacterStore, tenant: Path, kept: object
) -> None:
    path = tenant / "odile" / "card.json"
    document = json.loads(path.read_text())
    document["data"]["extensions"]["vestige"] = kept
    path.write_text(json.dumps(document))
    record = await store.get(T, "odile", ADMIN)
    assert record.owner is None
    assert not record.editable_by(ADA)
    assert record.created.tzinfo is not None


async def test_links_and_pipes_in_the_folder_are_left_alone(
    store: CharacterStore, tenant: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "card.json").write_bytes(json_card(v1(name="Secret")))
    (tenant / "linked").symlink_to(outside)
    (tenant / "inner").mkdir()
    (tenant / "inner" / "card.json").symlink_to(outside / "card.json")
    (tenant / "loose.json").symlink_to(outside / "card.json")
    (tenant / "pipe").mkdir()
    os.mkfifo(tenant / "pipe" / "card.json")
    os.mkfifo(tenant / "pipe.png")
    (tenant / "odile" / "avatar.webp").symlink_to(outside / "card.json")
    assert await names(store, ADMIN) == ["Odile"]
    assert (await store.get(T, "odile", ADA)).avatar is None
    for id in ("linked", "inner", "pipe"):
        with pytest.raises(NotFound):
            await store.get(T, id, ADMIN)
    made = await store.create(T, CharacterDraft(name="Linked"), "ada")
    assert made.id == "linked-2"
    await store.delete(T, "odile", ADMIN)
    assert (outside / "card.json").exists()


@contextmanager
def no_room_for(size: int) -> Iterator[None]:
    """A real limit of the system on the size of any file, as a disk that is nearly full has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def assert_nothing_can_be_written(store: CharacterStore, tenant: Path) -> None:
    before = files_under(tenant)
    long = CharacterChanges(description="x" * 50_000)
    for writing in (
        store.update(T, "odile", long, ADA),
        store.create(T, CharacterDraft(name="Iris", description="x" * 50_000), "ada"),
        store.import_card(T, json_card(v3(name="Iris", description="x" * 50_000)), "ada"),
    ):
        with pytest.raises(StoreUnavailable) as error:
            await writing
        assert str(tenant) not in error.value.message
    assert files_under(tenant) == before
    assert await names(store) == ["Odile"]
    assert (await store.get(T, "odile", ADA)).card.description == "A bookbinder."


async def test_a_write_that_stops_half_way_leaves_the_old_file(store: CharacterStore, tenant: Path) -> None:
    with no_room_for(20_000):
        await assert_nothing_can_be_written(store, tenant)
    await store.update(T, "odile", CharacterChanges(description="x" * 50_000), ADA)


async def test_a_disk_that_is_full_when_it_syncs_leaves_the_old_file(
    store: CharacterStore, tenant: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        await assert_nothing_can_be_written(store, tenant)
        with pytest.raises(StoreUnavailable, match="No space left"):
            await store.set_avatar(T, "odile", png(), ADA)
    assert (await store.get(T, "odile", ADA)).avatar is None
    await store.set_avatar(T, "odile", png(), ADA)


async def test_a_new_tenant_on_a_full_disk_gets_its_samples_later(
    store: CharacterStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreUnavailable):
            await store.list(T, ADA)
    assert len(await store.list(T, ADA)) == 2


async def test_what_a_crash_left_is_cleared_at_the_next_start(tenant: Path, folder: Path) -> None:
    for name in (".part-0123456789ab", ".part-ba9876543210"):
        (tenant / name).mkdir()
        (tenant / name / "card.json").write_text("half a ca")
    (tenant / "odile" / ".card.json.0123456789ab.tmp").write_text("half a ca")
    (tenant / "empty").mkdir()
    store = CharacterStore(folder)
    assert await names(store) == ["Odile"]
    assert not [path for path, content in files_under(tenant).items() if b"half a ca" in content]
    assert not [path for path in os.listdir(tenant) if path.startswith(".part")]  # noqa: PTH208


WRITER = """
import asyncio, itertools, pathlib, sys
from server.catalog.models import CharacterChanges
from server.catalog.records import Viewer
from server.catalog.store import CharacterStore

async def main():
    store = CharacterStore(pathlib.Path(sys.argv[1]))
    for n in itertools.count():
        await store.update("home", "odile", CharacterChanges(description=f"{n} " * 20_000), Viewer("ada"))
        print(n, flush=True)

asyncio.run(main())
"""


async def test_a_killed_server_leaves_the_last_card_it_confirmed_or_the_next(tenant: Path, folder: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(folder), stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert process.stdout is not None
    confirmed = [await process.stdout.readline() for _ in range(10)]
    process.kill()
    last = int([*confirmed, *(await process.communicate())[0].split()][-1])
    description = (await CharacterStore(folder).get(T, "odile", ADA)).card.description
    assert description in (f"{last} " * 20_000, f"{last + 1} " * 20_000)
    assert [path for path in files_under(tenant / "odile") if path != "card.json"] == []


async def test_files_are_for_the_servers_user_only(tenant: Path) -> None:
    for path in (tenant, *(tenant / name for name in files_under(tenant))):
        assert path.lstat().st_mode & 0o077 == 0


async def test_listing_while_others_write_and_delete_always_succeeds(store: CharacterStore) -> None:
    async def churn(number: int) -> None:
        for _ in range(3):
            made = await store.create(T, CharacterDraft(name=f"Churn {number}"), "ada")
            await store.update(T, made.id, CharacterChanges(scenario="x"), ADA)
            await store.delete(T, made.id, ADA)

    async def look() -> None:
        for _ in range(10):
            for record in await store.list(T, ADMIN):
                assert record.damaged is None

    await asyncio.gather(*(churn(n) for n in range(3)), look(), look())
    assert await names(store, ADMIN) == []
