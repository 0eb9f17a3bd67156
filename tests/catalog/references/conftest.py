"""References over a folder and a real Valkey, and pictures to bring."""

import io
from collections.abc import AsyncIterator, Callable

import pytest
from PIL import Image

from server.catalog.references import References
from server.settings import Settings
from server.stores.objects import Objects
from server.stores.objects_open import open_objects
from server.stores.redis import RedisPair
from tests.catalog.conftest import Clock


def saved(image: Image.Image, kind: str = "PNG", **more: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **more)
    return out.getvalue()


def plain(colour: tuple[int, ...] = (200, 30, 60), size: tuple[int, int] = (600, 800)) -> bytes:
    """A picture of one colour: another colour, another picture."""
    return saved(Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour))


@pytest.fixture
async def objects(make_settings: Callable[..., Settings]) -> AsyncIterator[Objects]:
    async with open_objects(make_settings()) as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def references(objects: Objects, redis_pair: RedisPair, clock: Clock) -> References:
    return References(objects, redis_pair.busy, clock=clock)
