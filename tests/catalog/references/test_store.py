"""References: brought, kept by the hash of what is stored, let go of when nobody points to them."""

import asyncio
import gzip
import hashlib
import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from server.catalog.references import References
from server.catalog.references.clean import SIDE
from server.catalog.references.fetch import Fetcher
from server.catalog.references.store import InUse
from server.errors import InvalidRequest, NotFound, RateLimited, StoreUnavailable, TooLarge
from server.settings import Settings
from server.stores.objects import Objects
from server.stores.redis import RedisPair
from tests.catalog.cardfiles import SIGNATURE, chunk, header
from tests.catalog.conftest import Clock
from tests.catalog.references.conftest import plain, saved
from tests.outfit_tuner.references.shop import Internet, Names, Shop, answer, open_shop, trust

T = "home"
RED, BLUE = (255, 0, 0), (0, 0, 255)


def files(settings: Settings) -> list[str]:
    return sorted(path.name for path in (settings.data / "objects").rglob("*") if path.is_file())


async def nobody(_: Collection[str]) -> set[str]:
    return set()


def only(*sha256s: str) -> InUse:
    async def in_use(asked: Collection[str]) -> set[str]:
        return set(asked) & set(sha256s)

    return in_use


async def opened(references: References, sha256: str) -> Image.Image:
    image = Image.open(io.BytesIO(await references.content(sha256)))
    image.load()
    return image


async def test_a_picture_is_kept_by_the_hash_of_what_is_stored(references: References, objects: Objects) -> None:
    brought = await references.add(plain(), T, "ada")
    content = await references.content(brought.sha256)
    assert hashlib.sha256(content).hexdigest() == brought.sha256
    assert (brought.width, brought.height, brought.bytes) == (600, 800, len(content))
    assert await references.get(brought.sha256) == brought
    assert await objects.get(f"references/{brought.sha256}.png", most=10**6) == content


async def test_the_same_picture_is_kept_once_whoever_brings_it_and_however_often(
    references: References, settings: Settings
) -> None:
    brought = await asyncio.gather(*(references.add(plain(), T, user) for user in ("ada", "ben", None) * 3))
    assert len({each.sha256 for each in brought}) == 1
    assert len(files(settings)) == 2


async def test_knowing_a_hash_is_no_right_to_it(references: References) -> None:
    sha256 = (await references.add(plain(), T, "ada")).sha256
    assert await references.may_use(sha256, T, "ada")
    for tenant, user in ((T, "ben"), (T, None), ("other", "ada")):
        assert not await references.may_use(sha256, tenant, user)
    await references.add(plain(), T, None)
    assert await references.may_use(sha256, T, None)


async def test_what_is_stored_is_upright_rgb_and_says_nothing_but_its_pixels(references: References) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Canary Camera"
    info = PngImagePlugin.PngInfo()
    info.add_text("workflow", "canary")
    photo = Image.new("RGB", (40, 20), RED)
    for data in (
        saved(photo, "JPEG", exif=exif),
        saved(photo, "PNG", exif=exif, pnginfo=info),
        saved(photo, "WEBP", exif=exif),
    ):
        sha256 = (await references.add(data, T, "ada")).sha256
        image = await opened(references, sha256)
        assert (image.format, image.mode, image.size, image.info) == ("PNG", "RGB", (20, 40), {})
        assert b"anary" not in await references.content(sha256)


async def test_what_is_transparent_becomes_white(references: References) -> None:
    cut_out = Image.new("RGBA", (400, 400), (0, 0, 0, 0))
    cut_out.paste((*BLUE, 255), (100, 100, 300, 300))
    image = await opened(references, (await references.add(saved(cut_out), T, "ada")).sha256)
    assert [image.getpixel(at) for at in ((5, 5), (200, 200))] == [(255, 255, 255), BLUE]


async def test_a_large_picture_is_made_smaller(references: References) -> None:
    brought = await references.add(saved(Image.new("RGB", (5_000, 2_500), RED), "JPEG"), T, "ada")
    assert (brought.width, brought.height) == (SIDE, SIDE // 2)


async def test_of_an_animation_the_first_picture_is_kept(references: References) -> None:
    frames = [Image.new("RGB", (300, 300), colour) for colour in (RED, BLUE)]
    for kind in ("PNG", "WEBP"):
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)
        image = await opened(references, (await references.add(data, T, "ada")).sha256)
        assert (getattr(image, "n_frames", 1), image.getpixel((9, 9))) == (1, RED)


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("dress.png", plain())
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "send a PNG, JPEG or WebP"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "send a PNG, JPEG or WebP"),
        (b"<!doctype html><script>alert(1)</script>", "send a PNG, JPEG or WebP"),
        (zipped(), "send a PNG, JPEG or WebP"),
        (saved(Image.new("P", (9, 9)), "GIF"), "send a PNG, JPEG or WebP"),
        (gzip.compress(plain()), "send a PNG, JPEG or WebP"),
        (plain()[:-40], "damaged or cut off"),
        (saved(Image.effect_noise((400, 300), 99), "JPEG")[:3_000], "damaged or cut off"),
        (SIGNATURE + header(30_000, 30_000) + chunk(b"IDAT", b"") + chunk(b"IEND", b""), "24 million"),
    ],
)  # fmt: skip
async def test_what_is_no_picture_is_refused_with_a_sentence_and_leaves_nothing(
    references: References, settings: Settings, redis_pair: RedisPair, data: bytes, says: str
) -> None:
    with pytest.raises(InvalidRequest) as error:
        await references.add(data, T, "ada")
    assert says in error.value.message
    assert files(settings) == []
    assert await redis_pair.state.keys("*") == []


async def test_eleven_megabytes_are_too_many(references: References) -> None:
    with pytest.raises(TooLarge):
        await references.add(bytes(11_000_000), T, "ada")


@pytest.mark.parametrize("sha256", ["0" * 64, "A" * 64, "", "../../etc/passwd", "0" * 63, "٠" * 64])
async def test_what_was_never_brought_is_not_found(references: References, sha256: str) -> None:
    for ask in (references.get(sha256), references.content(sha256)):
        with pytest.raises(NotFound):
            await ask


async def test_a_picture_that_the_disk_damaged_is_not_handed_out_and_is_mended_by_bringing_it_again(
    references: References, settings: Settings
) -> None:
    sha256 = (await references.add(plain(), T, "ada")).sha256
    file = settings.data / "objects" / "references" / f"{sha256}.png"
    file.write_bytes(bytes(len(file.read_bytes())))
    with pytest.raises(NotFound, match="add the picture again"):
        await references.content(sha256)
    await references.add(plain(), T, "ada")
    assert await references.content(sha256)


async def test_the_state_store_gone_is_a_typed_error_and_keeps_nothing(
    references: References, redis_pair: RedisPair, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await redis_pair.state.config_set("maxmemory", "1")
    try:
        with pytest.raises(StoreUnavailable):
            await references.add(plain(), T, "ada")
    finally:
        await redis_pair.state.config_set("maxmemory", "0")
    assert files(settings) == []


KILLED = """
import asyncio, os, sys
from server.catalog.references import References
from server.settings import Settings
from server.datafolder import DataFolder
from server.stores.objects_open import open_objects
from server.stores.redis import open_redis

async def main():
    settings = Settings(data=sys.argv[1], redis_url=sys.argv[2], embedder="hash")
    async with open_objects(settings) as objects, open_redis(settings, DataFolder(settings.data)) as pair:
        put = objects.put
        async def put_then_die(path, data):
            await put(path, data)
            os.kill(os.getpid(), 9)
        objects.put = put_then_die
        await References(objects, pair.busy).add(sys.stdin.buffer.read(), "home", "ada")

asyncio.run(main())
"""


async def test_a_kill_between_the_picture_and_its_record_leaves_what_is_collected_or_completed(
    references: References, settings: Settings, valkey_socket: Path, clock: Clock
) -> None:
    argv = [sys.executable, "-c", KILLED, str(settings.data), f"unix://{valkey_socket}"]
    done = await asyncio.to_thread(subprocess.run, argv, input=plain(), timeout=60, capture_output=True)
    assert done.returncode == -9, done.stderr
    (left,) = files(settings)
    sha256 = left.removesuffix(".png")
    with pytest.raises(NotFound):
        await references.get(sha256)
    clock.now = datetime.now(UTC) + timedelta(days=2)
    assert await references.collect(nobody, settle=0) == 1
    assert files(settings) == []
    assert not await references.may_use(sha256, T, "ada")
    assert (await references.add(plain(), T, "ada")).sha256 == sha256


async def test_only_what_is_old_and_nobody_points_to_is_collected(
    references: References, redis_pair: RedisPair, clock: Clock
) -> None:
    kept, gone = [await references.add(plain(colour), T, "ada") for colour in (RED, BLUE)]
    clock.now = datetime.now(UTC)
    assert await references.collect(only(kept.sha256), settle=0) == 0
    clock.forward(hours=25)
    assert await references.collect(only(kept.sha256), settle=0) == 1
    await references.content(kept.sha256)
    with pytest.raises(NotFound):
        await references.get(gone.sha256)
    assert not any(gone.sha256 in str(key) for key in await redis_pair.state.keys("*"))
    assert await redis_pair.state.smembers("vestige:references:by:home:ada") == {kept.sha256}


async def test_bringing_a_picture_again_saves_it_from_the_collector(
    references: References, settings: Settings, clock: Clock
) -> None:
    sha256 = (await references.add(plain(), T, "ada")).sha256
    age(settings.data / "objects" / "references")
    clock.now = datetime.now(UTC)
    await references.add(plain(), T, "ben")
    assert await references.collect(nobody, settle=0) == 0
    assert await references.get(sha256)


def age(folder: Path) -> None:
    for file in folder.iterdir():
        os.utime(file, (1_000_000_000, 1_000_000_000))


async def test_an_item_made_while_it_is_collected_keeps_its_picture(references: References, clock: Clock) -> None:
    sha256 = (await references.add(plain(), T, "ada")).sha256
    clock.now = datetime.now(UTC) + timedelta(days=2)
    asked: list[Collection[str]] = []

    async def in_use(names: Collection[str]) -> set[str]:
        asked.append(names)
        return set() if len(asked) == 1 else {sha256}

    assert await references.collect(in_use, settle=0) == 0
    assert await references.content(sha256)
    assert await references.may_use(sha256, T, "ada")


async def test_while_a_picture_is_collected_no_item_can_be_made_of_it(references: References, clock: Clock) -> None:
    sha256 = (await references.add(plain(), T, "ada")).sha256
    clock.now = datetime.now(UTC) + timedelta(days=2)
    collecting = asyncio.create_task(references.collect(nobody, settle=0.2))
    while await references.may_use(sha256, T, "ada"):  # noqa: ASYNC110 - the collector sets no event
        await asyncio.sleep(0.01)
    await references.add(plain(), T, "ben")  # brought again in time
    assert await collecting == 0
    assert await references.content(sha256)
    assert await references.may_use(sha256, T, "ben")


async def test_erasing_a_person_takes_what_only_they_brought(
    references: References, settings: Settings, redis_pair: RedisPair
) -> None:
    alone, shared, sold = [await references.add(plain((n, 9, 9)), T, "ada") for n in (1, 2, 3)]
    await references.add(plain((2, 9, 9)), T, "ben")

    async def in_use(asked: Collection[str]) -> set[str]:
        assert set(asked) == {alone.sha256, shared.sha256, sold.sha256}
        return {sold.sha256}

    assert await references.erase(T, "ada", in_use) == {alone.sha256}
    with pytest.raises(NotFound):
        await references.get(alone.sha256)
    assert await references.get(shared.sha256)
    assert await references.get(sold.sha256)
    assert await redis_pair.state.keys("*ada*") == []
    for key in await redis_pair.state.keys("*"):
        assert "home/ada" not in await redis_pair.state.smembers(key)
    assert await references.erase(T, "ada", nobody) == frozenset()


@pytest.fixture
def fetching(references: References, objects: Objects, redis_pair: RedisPair) -> "Fetching":
    return Fetching(objects, redis_pair)


class Fetching:
    """References that fetch from a shop of ours, as if it were on the internet."""

    def __init__(self, objects: Objects, redis_pair: RedisPair) -> None:
        self._parts = objects, redis_pair.busy

    def of(self, shop: Shop) -> References:
        fetcher = Fetcher(resolve=Names(), network=Internet(shop), tls=trust())
        return References(*self._parts, fetcher=fetcher)


async def test_a_fetched_picture_is_as_good_as_a_brought_one_and_its_address_is_kept_nowhere(
    fetching: Fetching, on_disk, redis_pair: RedisPair
) -> None:
    async with open_shop() as shop:
        shop.pages["/dress.png?sig=topsecret"] = answer(body=plain())
        references = fetching.of(shop)
        fetched = await references.fetch("https://shop.example/dress.png?sig=topsecret", T, "ada")
        assert fetched == await references.add(plain(), T, "ada")
    assert on_disk("topsecret") == on_disk("shop.example") == []
    for key in await redis_pair.state.keys("*"):
        assert "shop.example" not in str(key) + str(await redis_pair.state.smembers(key))


async def test_what_says_png_but_is_html_is_refused_by_its_bytes(fetching: Fetching, settings: Settings) -> None:
    async with open_shop() as shop:
        shop.pages["/dress.png"] = answer(body=b"<html><script>alert(1)</script>")
        with pytest.raises(InvalidRequest, match="send a PNG, JPEG or WebP"):
            await fetching.of(shop).fetch("https://shop.example/dress.png", T, "ada")
    assert files(settings) == []


async def test_one_person_does_not_keep_everybody_waiting(fetching: Fetching) -> None:
    begun = asyncio.Event()

    async def slow(_: bytes, writer: asyncio.StreamWriter) -> None:
        begun.set()
        await asyncio.sleep(5)

    async with open_shop() as shop:
        shop.pages |= {"/slow": slow, "/dress.png": answer(body=plain())}
        references = fetching.of(shop)
        waiting = [asyncio.create_task(references.fetch("https://shop.example/slow", T, "eve")) for _ in range(3)]
        await begun.wait()
        with pytest.raises(RateLimited):
            await references.fetch("https://shop.example/dress.png", T, "eve")
        assert await references.fetch("https://shop.example/dress.png", T, "ada")
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert await references.fetch("https://shop.example/dress.png", T, "eve")
