"""`vestige catalog`: a shop goes from one server to another as a folder, and comes in whole or not at all."""

import io
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.catalog.conftest import files_under
from tests.catalog.references.conftest import plain
from tests.fakes.openai_server import FakeOpenAI
from tests.system.instance import Instance, start, vestige_run

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Instance]:
    async with FakeOpenAI() as fake, start(tmp_path_factory.mktemp("cli") / "data", fake.base_url) as running:
        await running.character(name="Mira")
        data = io.BytesIO(plain((200, 30, 30)))
        _, picture = await running.ask("POST", "/v1/references", data=data, headers={"Content-Type": "image/png"})
        for item in (
            {"id": "scarf", "title": "Красный шарф 🧣", "price": {"eur": 3}, "reference": picture["sha256"]},
            {"id": "hat", "title": "Hat", "public": False},
            {"title": "My own", "private": True},
        ):
            assert (await running.ask("POST", "/v1/items", json=item))[0] == 201
        look = {"checkpoint": "base.safetensors", "lora": "mira@2"}
        assert (await running.ask("PUT", "/v1/characters/mira/look", json=look))[0] == 200
        yield running


async def run(data: Path, *arguments: str, code: int = 0) -> tuple[str, list[str]]:
    """What the command printed on stdout, and its lines on stderr."""
    ended, out, err = await vestige_run("catalog", *arguments, "--data", str(data))
    assert ended == code, err
    return out, err.splitlines()


def documents(folder: Path) -> dict[str, object]:
    """The items and looks in a folder, whatever order they were written in."""
    found = {path: json.loads(content) for path, content in files_under(folder).items() if path.endswith(".json")}
    del found["index.json"]
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def folder(server: Instance, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "shop"
    out, _ = await run(server.data, "export", str(folder))
    assert out.startswith("2 items and 1 looks")
    return folder


async def test_a_folder_brings_a_shop_to_another_server_and_again_changes_nothing(
    server: Instance, folder: Path, tmp_path: Path
) -> None:
    assert sorted(files_under(folder)) == [
        "index.json",
        "items/hat/item.json",
        "items/scarf/item.json",
        "items/scarf/reference.png",
        "looks/mira.json",
    ]
    out, _ = await run(server.data, "import", str(folder))
    assert out == "3 unchanged.\n"
    async with FakeOpenAI() as fake, start(tmp_path / "data", fake.base_url) as other:
        _, lines = await run(other.data, "import", str(folder), code=1)
        assert (lines[0], lines[-1]) == (
            "looks/mira: There is no such character here: import its card first.",
            "vestige: One thing is wrong, so nothing was imported.",
        )
        assert (await other.ask("GET", "/v1/items"))[1]["items"] == []
        await other.character(name="Mira")
        dry, _ = await run(other.data, "import", str(folder), "--dry-run")
        out, _ = await run(other.data, "import", str(folder))
        assert sorted(dry.splitlines()[:-1]) == sorted(out.splitlines()[:-1])
        assert sorted(out.splitlines()[:-1]) == ["created items/hat", "created items/scarf", "created looks/mira"]
        _, scarf = await other.ask("GET", "/v1/items/scarf")
        assert (scarf["title"], scarf["price"]) == ("Красный шарф 🧣", {"eur": 3})
        status, picture = await other.ask("GET", scarf["picture"])
        assert (status, picture) == (200, (folder / "items/scarf/reference.png").read_bytes())
        assert (await other.ask("GET", "/v1/items/hat"))[1]["public"] is False
        assert (await run(other.data, "import", str(folder)))[0] == "3 unchanged.\n"
        await run(other.data, "export", str(tmp_path / "back"))
        assert documents(tmp_path / "back") == documents(folder)


async def test_everything_that_is_wrong_is_told_in_one_go_and_nothing_is_written(
    server: Instance, folder: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad"
    shutil.copytree(folder, bad)
    (bad / "items/scarf/reference.png").write_bytes(b"<svg onload=alert(1)>")
    (bad / "items/cap").mkdir()
    (bad / "items/cap/item.json").write_text('{"title": "Cap", "category": "NO"}')
    (bad / "items/gown").mkdir()
    (bad / "items/gown/item.json").write_text('{"title": "Gown"}')
    (bad / "looks/nobody.json").write_text('{"checkpoint": "base.safetensors"}')
    (bad / "looks/mira.json").write_text('{"checkpoint": "x", "scene": {"prompt": "Mira at sea"}}')
    _, lines = await run(server.data, "import", str(bad), code=1)
    assert {line.partition(":")[0] for line in lines[:-1]} == {
        "items/scarf/reference.png",
        "items/cap",
        "looks/nobody",
        "looks/mira",
    }
    assert lines[-1] == "vestige: 4 things are wrong, so nothing was imported."
    assert (await server.ask("GET", "/v1/items/gown"))[0] == 404


async def test_without_a_server(tmp_path: Path) -> None:
    _, lines = await run(tmp_path / "data", "export", str(tmp_path / "shop"), code=1)
    assert "vestige serve" in lines[0]
    assert not (tmp_path / "shop").exists()
