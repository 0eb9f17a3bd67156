"""Looks: what is stored is what was sent, and the LoRA is the live one or the one it is pinned to."""

import asyncio

import pytest
from pydantic import BaseModel

from server.catalog.looks.looks import Looks
from server.catalog.looks.model import Look, LookFields, Scene, TuningOverrides
from server.errors import Conflict, InvalidRequest, NotFound, Unavailable
from server.loras.records import LoraRecord, LoraVersion
from server.render.graphs.request import PictureRequest
from server.render.outfit import TUNING
from server.stores.redis import RedisPair


class File(BaseModel):
    sha256: str


class Record(BaseModel):
    """What looks read of a registry's record."""

    name: str
    version: int
    file: File


class Versions:
    """`mira` has two versions, and the second is live."""

    async def live(self, tenant: str, name: str) -> LoraVersion | None:
        return LoraVersion(name, 2, "b" * 64) if name == "mira" else None

    async def get(self, tenant: str, name: str, version: int) -> LoraRecord:
        if name != "mira" or version > 2:
            raise NotFound("There is no such version.")
        return Record(name=name, version=version, file=File(sha256="a" * 64))  # type: ignore[return-value]


@pytest.fixture
async def looks(redis_pair: RedisPair) -> Looks:
    return Looks(redis_pair.busy, Versions())


async def test_what_is_put_is_got(looks: Looks) -> None:
    fields = LookFields(
        checkpoint="sdxl\\base.safetensors",
        lora="mira",
        adapter="plus.safetensors",
        scene=Scene(prompt="by the sea", seed=2**64 - 1),
        tuning=TuningOverrides(weight=0.5, freeu=False),
    )
    with pytest.raises(NotFound):
        await looks.get("home", "mira")
    put = await looks.put("home", "mira", fields, names=["Mira"])
    assert await looks.get("home", "mira") == put
    assert LookFields.model_validate(put.model_dump(exclude={"character", "etag"})) == fields
    assert put.tuning.values_by_slot() == {"weight": 0.5, "freeu": False}
    assert await looks.find("acme", "mira") is None
    assert await looks.delete("home", "mira")
    assert not await looks.delete("home", "mira")


async def test_a_stale_etag_and_puts_at_once(looks: Looks) -> None:
    with pytest.raises(Conflict):
        await looks.put("home", "mira", LookFields(checkpoint="a"), names=(), if_match="x")
    first = await looks.put("home", "mira", LookFields(checkpoint="a"), names=())
    puts = await asyncio.gather(
        *(
            looks.put("home", "mira", LookFields(checkpoint=name), names=(), if_match=first.etag)
            for name in ("b", "c", "d")
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(each, Look) for each in puts) == 1
    assert sum(isinstance(each, Conflict) for each in puts) == 2


async def test_pages_of_looks(looks: Looks) -> None:
    for name in ("c", "a", "b"):
        await looks.put("home", name, LookFields(checkpoint="x"), names=())
    assert [look.character for look in await looks.all("home", limit=2)] == ["a", "b"]
    assert [look.character for look in await looks.all("home", after="b")] == ["c"]


@pytest.mark.parametrize(
    ("lora", "version"), [(None, None), ("mira", 2), ("mira@1", 1), ("mira@9", NotFound), ("ben", NotFound)]
)
async def test_which_version_is_worn(looks: Looks, lora: str | None, version: int | type[NotFound] | None) -> None:
    look = LookFields(checkpoint="x", lora=lora)
    if version is NotFound:
        with pytest.raises(NotFound):
            await looks.lora("home", look)
        return
    found = await looks.lora("home", look)
    assert (None if found is None else found.version) == version


async def test_listeners_hear_and_one_that_fails_changes_nothing(looks: Looks) -> None:
    heard: list[str] = []

    async def fails(tenant: str, look: Look) -> None:
        raise Unavailable("Not now.")

    async def hears(tenant: str, look: Look) -> None:
        heard.append(f"{tenant}/{look.character}")

    looks.on_put(fails)
    looks.on_put(hears)
    await looks.put("home", "mira", LookFields(checkpoint="x"), names=())
    assert heard == ["home/mira"]


def test_what_a_look_may_tune_is_what_a_render_takes() -> None:
    assert set(TuningOverrides.model_fields) == set(TUNING)


def test_every_look_makes_a_picture_request() -> None:
    scene = Scene(prompt="x" * 2_000, steps=200, cfg=30, width=4_096, height=64, seed=2**64 - 1)
    tuning = TuningOverrides.model_validate({name: value for name, value in TUNING.items() if value != ""})
    PictureRequest(checkpoint="x", tuning=tuning.values_by_slot(), **scene.model_dump())


async def test_a_name_in_the_prompt(looks: Looks) -> None:
    fields = LookFields(checkpoint="x", scene=Scene(prompt="Mira by the sea"))
    with pytest.raises(InvalidRequest) as refused:
        await looks.put("home", "mira", fields, names=["Mira"])
    assert refused.value.details["field"] == "scene.prompt"
    assert await looks.find("home", "mira") is None
