"""`/vestige/presets` on a real server."""

import dataclasses
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from comfy_nodes.outfit_tuner.presets import PresetStore
from comfy_nodes.outfit_tuner.routes import pack_routes
from comfy_nodes.outfit_tuner.routes.presets import PresetRoutes
from comfy_nodes.outfit_tuner.tuning import TuningValues

VALUES = dataclasses.asdict(TuningValues())
Serve = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture
async def client(serve: Serve, tmp_path: Path) -> httpx.AsyncClient:
    return await serve(PresetRoutes(lambda: PresetStore(tmp_path)).routes())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def saved(client: httpx.AsyncClient, name: str = "dress", **body: Any) -> dict[str, Any]:
    answer = await client.post(f"/vestige/presets/{name}", json={"values": VALUES, **body})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_save_read_list(client: httpx.AsyncClient) -> None:
    first = await saved(client, notes="one")
    second = await saved(client, pins={"base_family": "sdxl"})
    assert [first["origin"], second["origin"]] == ["dress@1", "dress@2"]
    assert (await client.get("/vestige/presets/dress/1")).json() == first
    assert (await client.get("/vestige/presets/dress/latest")).json() == second
    listed = (await client.get("/vestige/presets")).json()
    assert listed["presets"][:2] == [second, first]
    assert listed["damaged"] == []
    assert any(preset["name"] == "starter-sdxl-anime" for preset in listed["presets"])


async def test_with_a_parent_only_what_changes_is_sent(client: httpx.AsyncClient) -> None:
    await saved(client, pins={"base_family": "pony"})
    answer = await client.post("/vestige/presets/coat", json={"parent": "dress@1", "values": {"weight": 0.55}})
    document = answer.json()
    assert document["values"] == {**VALUES, "weight": 0.55}
    assert (document["parent"], document["pins"]["base_family"]) == ("dress@1", "pony")


async def test_compare_and_go_back(client: httpx.AsyncClient) -> None:
    await saved(client)
    await saved(client, values={**VALUES, "weight": 0.5})
    answer = await client.get("/vestige/presets/dress/1/diff", params={"against": "dress@2"})
    change = {"name": "values.weight", "before": 0.4, "after": 0.5, "text": "values.weight: 0.4 → 0.5"}
    assert answer.json() == {"before": "dress@1", "after": "dress@2", "changes": [change]}
    back = await client.post("/vestige/presets/dress/rollback", json={"version": 1, "notes": "better"})
    assert back.status_code == 201
    assert (back.json()["origin"], back.json()["parent"], back.json()["values"]) == ("dress@3", "dress@1", VALUES)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/vestige/presets/none/1", None, 404, "preset_not_found"),
        ("GET", "/vestige/presets/dress/9", None, 404, "preset_not_found"),
        ("GET", "/vestige/presets/dress/x", None, 400, "invalid_preset_name"),
        ("GET", "/vestige/presets/..%2F..%2Fx/1", None, 400, "invalid_preset_name"),
        ("GET", "/vestige/presets/broken/1", None, 422, "preset_damaged"),
        ("GET", "/vestige/presets/newer/1", None, 422, "preset_too_new"),
        ("GET", "/vestige/presets/dress/1/diff", None, 400, "invalid_request"),
        ("GET", "/vestige/presets/dress/1/diff?against=none@1", None, 404, "preset_not_found"),
        ("POST", "/vestige/presets/A B", {"values": VALUES}, 400, "invalid_preset_name"),
        ("POST", "/vestige/presets/starter-x", {"values": VALUES}, 400, "invalid_preset_name"),
        ("POST", "/vestige/presets/dress", {"values": {}}, 400, "invalid_preset"),
        ("POST", "/vestige/presets/dress", {"values": []}, 400, "invalid_preset"),
        ("POST", "/vestige/presets/dress", {"values": {**VALUES, "weight": 99}}, 400, "invalid_preset"),
        ("POST", "/vestige/presets/dress", {"values": VALUES, "pins": {"base": "../x"}}, 400, "invalid_preset"),
        ("POST", "/vestige/presets/dress", {"values": VALUES, "pins": 3}, 400, "invalid_request"),
        ("POST", "/vestige/presets/dress", {"values": VALUES, "notes": 3}, 400, "invalid_request"),
        ("POST", "/vestige/presets/dress", {"values": VALUES, "version": 7}, 400, "invalid_request"),
        ("POST", "/vestige/presets/dress", {"values": VALUES, "parent": "none@1"}, 404, "preset_not_found"),
        ("POST", "/vestige/presets/dress", {"values": VALUES, "parent": "dress"}, 400, "invalid_preset"),
        ("POST", "/vestige/presets/dress", {"values": VALUES, "parent": 3}, 400, "invalid_request"),
        ("POST", "/vestige/presets/dress/rollback", {}, 400, "invalid_request"),
        ("POST", "/vestige/presets/dress/rollback", {"version": 9}, 404, "preset_not_found"),
    ],
)
async def test_what_cannot_be_done_is_a_sentence(
    client: httpx.AsyncClient, tmp_path: Path, method: str, path: str, body: Any, status: int, code: str
) -> None:
    await saved(client)
    for name, text in (("broken", "{"), ("newer", '{"format": 99}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "v1.json").write_text(text)
    answer = await client.request(method, path, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    message = answer.json()["error"]["message"]
    assert message[0].isupper() or message[0] in "'`"
    assert message.endswith(".")
    assert names(tmp_path) == ["broken", "dress", "newer"]
    assert names(tmp_path / "dress") == ["v1.json"]


async def test_a_folder_that_cannot_be_written_is_unavailable(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    client = await serve(PresetRoutes(lambda: PresetStore(tmp_path / "file")).routes())
    answer = await client.post("/vestige/presets/dress", json={"values": VALUES})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "preset_not_saved")


async def test_without_the_token_nothing_is_read_or_written(client: httpx.AsyncClient, tmp_path: Path) -> None:
    for headers, status in (({"Authorization": ""}, 401), ({"Authorization": "Bearer wrong"}, 401)):
        assert (await client.get("/vestige/presets", headers=headers)).status_code == status
        answer = await client.post("/vestige/presets/dress", json={"values": VALUES}, headers=headers)
        assert answer.status_code == status
    assert names(tmp_path) == []


def test_the_pack_has_these_routes() -> None:
    assert {route.path for route in pack_routes()} >= {"/vestige/presets", "/vestige/presets/{name}/{version}/diff"}
