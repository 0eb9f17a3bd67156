"""The server as a whole: what it is made of, how it starts, and how it stops."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web

from server.app import FOLDER, Overrides, build_app
from server.datafolder import DataFolder
from server.errors import DataFolderError, SettingsError, StartupError
from server.memory.embedding import EmbedderUnavailable, HashEmbedder
from server.settings import Settings
from tests.fakes.openai_server import FakeOpenAI
from tests.harness import OWNER_TOKEN, running

CONTRACT = """
GET /
GET /static/{version}/{name}
GET /health
GET /ready
GET /metrics
GET /openapi.json
GET /docs
POST /v1/session
DELETE /v1/session
GET /v1/me
PUT /v1/active-character
GET /v1/characters
POST /v1/characters
GET /v1/characters/{character_id}
PUT /v1/characters/{character_id}
DELETE /v1/characters/{character_id}
POST /v1/characters/{character_id}/duplicate
POST /v1/characters/import
GET /v1/characters/{character_id}/export
PUT /v1/characters/{character_id}/avatar
GET /v1/characters/{character_id}/avatar
POST /v1/chat
POST /v1/chat/{character_id}/regenerate
POST /v1/chat/{character_id}/continue
POST /v1/chat/{character_id}/swipe
PATCH /v1/chat/{character_id}/messages/{message_id}
DELETE /v1/chat/{character_id}/messages/{message_id}
GET /v1/chat/{character_id}/messages
POST /v1/chat/{character_id}/reset
POST /v1/chat/{character_id}/greeting
GET /v1/chat/{character_id}/export
GET /v1/chat/{character_id}/prompt
POST /v1/complete
GET /v1/admin/routing
GET /v1/memory/{character_id}/recent
GET /v1/memory/{character_id}/summary
PUT /v1/memory/{character_id}/summary
DELETE /v1/memory/{character_id}/summary
GET /v1/memory/{character_id}/search
GET /v1/memory/{character_id}/windows
PUT /v1/memory/{character_id}/windows/{window_id}/facts
GET /v1/memory/{character_id}/pins
POST /v1/memory/{character_id}/pins
PATCH /v1/memory/{character_id}/pins/{pin_id}
DELETE /v1/memory/{character_id}/pins/{pin_id}
POST /v1/memory/{character_id}/forget
GET /v1/memory/{character_id}/export
DELETE /v1/memory/{character_id}
GET /v1/memory/export
DELETE /v1/memory
GET /v1/admin/users
POST /v1/admin/users
POST /v1/admin/users/{user_id}/link
PATCH /v1/admin/users/{user_id}
DELETE /v1/admin/users/{user_id}
GET /v1/admin/keys
POST /v1/admin/keys
DELETE /v1/admin/keys/{key_id}
"""


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI() as server:
        yield server


@pytest.fixture
def small(make_settings: Callable[..., Settings], fake: FakeOpenAI) -> Settings:
    return make_settings(llm_base_url=fake.base_url, shards=1)


class Missing(HashEmbedder):
    """An embedder whose files are not installed."""

    async def warm(self) -> None:
        raise EmbedderUnavailable("The model is not installed: run `pip install it`.")


async def test_it_has_the_routes_it_promises(make_settings: Callable[..., Settings]) -> None:
    app = build_app(make_settings(), owner_token=OWNER_TOKEN)
    routes = {
        f"{route.method} {route.resource.canonical}" for route in app.router.routes() if route.resource is not None
    }
    assert set(CONTRACT.split("\n")[1:-1]) <= routes


async def test_building_it_opens_nothing(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings()
    build_app(settings, owner_token=OWNER_TOKEN)
    assert not settings.data.exists()


async def test_ready_means_that_every_part_answers(small: Settings, fake: FakeOpenAI) -> None:
    async with running(small, fake) as server:
        status, ready = await server.ask("GET", "/ready")
        assert (status, set(ready["checks"])) == (200, {"redis", "chroma", "embedder", "model", "objects"})


async def test_its_document_and_its_metrics_cover_every_part(small: Settings, fake: FakeOpenAI) -> None:
    async with running(small, fake) as server:
        mira = await server.character()
        await server.say(mira, "Hello")
        document = (await server.ask("GET", "/openapi.json"))[1]
        assert {"/v1/chat", "/v1/memory/{character_id}/search", "/v1/characters/{character_id}"} <= set(
            document["paths"]
        )
        events = document["paths"]["/v1/chat"]["post"]["responses"]["200"]["content"]["text/event-stream"]
        assert {one["title"] for one in events["schema"]["anyOf"]} == {"accepted", "token", "done", "error"}
        metrics = (await server.ask("GET", "/metrics"))[1].decode()
        assert 'vestige_turns_total{outcome="complete"} 1.0' in metrics
        assert "vestige_memory_recall_seconds_count" in metrics
        assert "vestige_model_first_token_seconds_count" in metrics


async def test_a_second_server_on_the_same_folder_is_refused(small: Settings, fake: FakeOpenAI) -> None:
    async with running(small, fake):
        with pytest.raises(DataFolderError):
            async with running(small, fake):
                pass


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"redis_url": "redis://127.0.0.1:1/0"}, StartupError),
        ({"redis_url": "nonsense"}, SettingsError),
        ({"chroma_url": "http://127.0.0.1:1"}, StartupError),
        ({"llm_base_url": "ftp://x"}, SettingsError),
    ],
)
async def test_what_does_not_start_closes_what_did_and_frees_the_folder(
    make_settings: Callable[..., Settings], fake: FakeOpenAI, fields: dict[str, str], error: type[StartupError]
) -> None:
    settings = make_settings(**{"llm_base_url": fake.base_url, "shards": 1, **fields})
    with pytest.raises(error) as caught:
        async with running(settings, fake):
            pass
    assert "\n" not in caught.value.message
    with DataFolder(settings.data).open():
        pass


async def test_an_embedder_that_is_not_there_stops_the_start(small: Settings, fake: FakeOpenAI) -> None:
    with pytest.raises(EmbedderUnavailable):
        async with running(small, fake, Overrides(embedder=Missing())):
            pass
    async with running(small, fake) as server:
        assert (await server.ask("GET", "/health"))[0] == 200


async def test_stopping_leaves_no_process_and_no_lock(small: Settings, fake: FakeOpenAI) -> None:
    async with running(small, fake) as server:
        folder: Path = server.app[FOLDER].path
        assert isinstance(server.app, web.Application)
    with DataFolder(folder).open():
        pass
    assert not list((folder / "run").glob("*.sock"))
