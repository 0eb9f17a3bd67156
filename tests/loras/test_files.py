"""Files come in whole or not at all, and are known by what they are."""

import hashlib
import io
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from server.errors import InvalidLora, NotFound, StoreUnavailable, TooLarge
from server.loras import files as module
from server.loras.files import LoraFiles, examine
from server.settings import Settings
from server.stores.objects import Objects
from server.stores.objects_open import open_objects
from tests.loras import lora_files as made


@pytest.fixture
async def objects(make_settings: Callable[..., Settings], tmp_path: Path) -> AsyncIterator[Objects]:
    async with open_objects(make_settings(objects_url=str(tmp_path / "objects"))) as opened:
        yield opened


@pytest.fixture
def files(objects: Objects, tmp_path: Path) -> LoraFiles:
    return LoraFiles(objects, tmp_path / "spool")


@pytest.fixture
def spooled(tmp_path: Path) -> Iterator[Callable[[], list[str]]]:
    """What is on the spool; nothing, at the end of every test."""

    def look() -> list[str]:
        folder = tmp_path / "spool"
        return sorted(each.name for each in folder.iterdir()) if folder.exists() else []

    yield look
    assert look() == []


async def stream(data: bytes, piece: int = 70_000) -> AsyncIterator[bytes]:
    for at in range(0, len(data), piece):
        yield data[at : at + piece]


async def content(files: LoraFiles, sha256: str, start: int = 0) -> bytes:
    return b"".join([piece async for piece in files.read(sha256, start)])


@pytest.mark.parametrize("piece", [1, 7, 70_000, 10**7])
async def test_a_file_is_kept_by_its_hash(files: LoraFiles, spooled: object, piece: int) -> None:
    data = made.lora(made.KOHYA, made.KOHYA_SAYS)
    found, new = await files.take(stream(data, piece), length=len(data))
    begins = int.from_bytes(data[:8], "little") + 8

    assert new
    assert found.sha256 == hashlib.sha256(data).hexdigest()
    assert found.weights_sha256 == hashlib.sha256(data[begins:]).hexdigest()
    assert (found.auto_v2, found.auto_v3) == (found.sha256[:10], "abababababab")
    assert (found.bytes, found.facts.dim) == (len(data), 32)
    assert "changed, merged or resized" in found.notices[0]
    assert await content(files, found.sha256) == data
    assert await content(files, found.sha256, 1_000) == data[1_000:]
    assert await files.get(found.sha256) == found == examine(io.BytesIO(data))


async def test_larger_than_what_is_written_at_a_time(files: LoraFiles, spooled: object) -> None:
    data = made.lora({f"lora_unet_{at}.lora_down.weight": (64, 4_096) for at in range(6)})
    found, _ = await files.take(stream(data))
    assert found == examine(io.BytesIO(data))
    assert (found.notices, found.auto_v3) == ((), found.weights_sha256[:12])


async def test_the_same_file_again(files: LoraFiles, spooled: object) -> None:
    data = made.lora()
    first, _ = await files.take(stream(data))
    assert await files.take(stream(data)) == (first, False)


async def test_a_refused_file_leaves_nothing(files: LoraFiles, objects: Objects, spooled: object) -> None:
    sent = 0

    async def pickled() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield b"\x80" * module._BATCH_BYTES

    with pytest.raises(InvalidLora, match="pickled"):
        await files.take(pickled())
    assert sent == 1  # its first bytes told
    for data in (b"", made.lora()[:-1], made.lora() + b"0", made.lora({"weight": (4,)})):
        with pytest.raises(InvalidLora):
            await files.take(stream(data))
    assert [each.path async for each in objects.list("loras")] == []


async def test_an_upload_that_breaks_off_leaves_nothing(files: LoraFiles, objects: Objects, spooled: object) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield made.lora()[:20_000]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await files.take(breaking())
    assert [each.path async for each in objects.list("loras")] == []


async def test_what_a_killed_process_left_on_the_spool_goes(objects: Objects, tmp_path: Path, spooled: object) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "half.part").write_bytes(b"0")
    LoraFiles(objects, tmp_path / "spool").clear()


async def test_too_large(files: LoraFiles, monkeypatch: pytest.MonkeyPatch, spooled: object) -> None:
    with pytest.raises(TooLarge, match="at most 4 GB"):
        await files.take(stream(b""), length=module.MOST_BYTES + 1)
    monkeypatch.setattr(module, "MOST_BYTES", 1_000)
    with pytest.raises(TooLarge):
        await files.take(stream(made.lora()))  # whatever length it claimed


async def test_a_full_disk_is_said_so(files: LoraFiles, tmp_path: Path) -> None:
    (tmp_path / "spool").write_bytes(b"")  # a file where the folder belongs
    with pytest.raises(StoreUnavailable):
        await files.take(stream(made.lora()))


async def test_a_file_that_never_came(files: LoraFiles) -> None:
    with pytest.raises(NotFound, match="upload it first"):
        await files.get("0" * 64)
    assert await files.verify("0" * 64) == "missing"


async def test_a_damaged_file_is_told_and_replaced_by_the_next_upload(
    files: LoraFiles, tmp_path: Path, spooled: object
) -> None:
    data = made.lora()
    found, _ = await files.take(stream(data))
    assert await files.verify(found.sha256) == "sound"
    (tmp_path / "objects" / "loras" / f"{found.sha256}.safetensors").write_bytes(data[:-1] + b"\xff")

    assert await files.verify(found.sha256) == "damaged"
    with pytest.raises(NotFound):
        await files.get(found.sha256)
    assert await files.take(stream(data)) == (found, True)
    assert await files.verify(found.sha256) == "sound"


async def test_in_a_bucket(make_settings: Callable[..., Settings], s3: str, tmp_path: Path) -> None:
    data = made.lora()
    async with open_objects(make_settings(objects_url=s3)) as objects:
        files = LoraFiles(objects, tmp_path / "spool")
        found, new = await files.take(stream(data))
        assert new
        assert await content(files, found.sha256) == data
        assert await files.verify(found.sha256) == "sound"
