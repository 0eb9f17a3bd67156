"""Pictures in a conversation over HTTP: a server, a worker and a fake ComfyUI, from the request to the file."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.harness import Json, Server, until
from tests.render.previews.studio import Studio, studio_in

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Studio]:
    async with studio_in(tmp_path_factory.mktemp("pictures") / "data") as running:
        yield running


async def ask(studio: Studio, who: Server, *, status: int = 202, key: str | None = None, **body: Any) -> Json:
    headers = {"Idempotency-Key": key} if key else {}
    path = f"/v1/chat/{studio.character}/pictures"
    got, answer = await who.ask("POST", path, json=body, headers=headers)
    assert got == status, answer
    return answer


async def shown(studio: Studio, who: Server) -> Json:
    """The last message of the conversation, once its picture is ready."""
    found: Json = {}

    async def ready() -> bool:
        nonlocal found
        _, page = await who.ask("GET", f"/v1/chat/{studio.character}/messages")
        found = page["messages"][-1]
        return found["picture"]["state"] == "ready"

    await until(ready, 30)
    return found


async def test_it_is_being_made_then_there_then_there_at_once(studio: Studio) -> None:
    anna = await studio.server.as_user("Anna")
    turn = await ask(studio, anna, prompt="at the harbour")
    assert (turn["asked"]["text"], turn["asked"]["asks"]) == ("/picture at the harbour", "picture")
    assert turn["message"]["picture"]["job_id"]
    message = await shown(studio, anna)
    assert message["id"] == turn["message"]["id"]
    status, content = await anna.ask("GET", message["picture"]["url"])
    assert (status, content[8:12]) == (200, b"WEBP")
    again = await ask(studio, anna, status=200, prompt="at the harbour")
    assert again["message"]["picture"]["url"] == message["picture"]["url"]


async def test_the_same_key_asks_once(studio: Studio) -> None:
    ben = await studio.server.as_user("Ben")
    first, second = [await ask(studio, ben, status=code, key="k", prompt="x y z") for code in (202, 202)]
    assert first["message"]["id"] == second["message"]["id"]
    _, page = await ben.ask("GET", f"/v1/chat/{studio.character}/messages")
    assert [one["role"] for one in page["messages"]] == ["user", "assistant"]
    answer = await ask(studio, ben, status=422, key="k", prompt="something else")
    assert answer["error"]["code"] == "idempotency_mismatch"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"item_id": "no-such-item"}, 404),
        ({"item_id": "../../etc"}, 404),
        ({"how": "wear"}, 400),
        ({"how": "eat"}, 400),
        ({"prompt": "x" * 1_001}, 400),
        ({"prompt": 7}, 400),
        ({"surprise": True}, 400),
    ],
)
async def test_what_cannot_be_asked_for_is_refused_and_stores_nothing(
    studio: Studio, body: dict[str, Any], status: int
) -> None:
    carl = await studio.server.as_user("Carl")
    await ask(studio, carl, status=status, **body)
    _, page = await carl.ask("GET", f"/v1/chat/{studio.character}/messages")
    assert all(one["id"] == "greeting" for one in page["messages"])


async def test_another_persons_item_is_not_there_and_one_not_owned_is_not_worn(studio: Studio) -> None:
    dora, emil = [await studio.server.as_user(name) for name in ("Dora", "Emil")]
    secret = await studio.item(owner=dora.made["user"])
    await ask(studio, emil, status=404, item_id=secret.id)
    shop = await studio.item()
    answer = await ask(studio, emil, status=403, item_id=shop.id, how="give")
    assert "own" in answer["error"]["message"]
    await ask(studio, dora, item_id=secret.id, how="wear")
    message = await shown(studio, dora)
    status, _ = await emil.ask("GET", message["picture"]["url"])
    assert status == 404


async def test_a_missing_model_is_told_and_the_request_kept(studio: Studio) -> None:
    await studio.look(studio.character, checkpoint="not-there.safetensors")
    try:
        fay = await studio.server.as_user("Fay")
        answer = await ask(studio, fay, status=502, prompt="by the sea")
        assert "not-there.safetensors" in answer["error"]["message"]
        _, page = await fay.ask("GET", f"/v1/chat/{studio.character}/messages")
        request, reply = page["messages"][-2:]
        assert answer["error"]["details"]["message_id"] == request["id"]
        assert (reply["status"], reply["error"]) == ("failed", answer["error"]["code"])
    finally:
        await studio.look(studio.character)
    path = f"/v1/chat/{studio.character}/pictures/{reply['id']}/again"
    assert (await fay.ask("POST", path))[0] == 202
    assert (await shown(studio, fay))["id"] == reply["id"]


async def test_a_version_is_another_picture_and_swiping_shows_the_first(studio: Studio) -> None:
    gwen = await studio.server.as_user("Gwen")
    first = (await ask(studio, gwen, prompt="in a library"))["message"]
    await shown(studio, gwen)
    path = f"/v1/chat/{studio.character}"
    assert (await gwen.ask("POST", f"{path}/pictures/{first['id']}/again"))[0] == 202
    second = await shown(studio, gwen)
    assert second["chosen"] == 1
    assert second["picture"]["key"] != first["picture"]["key"]
    _, swiped = await gwen.ask("POST", f"{path}/swipe", json={"message_id": first["id"], "index": 0})
    assert swiped["picture"]["key"] == first["picture"]["key"]
    assert swiped["picture"]["state"] == "ready"


async def test_an_export_names_the_picture_and_a_deletion_takes_it_away(studio: Studio) -> None:
    hans = await studio.server.as_user("Hans")
    await ask(studio, hans, prompt="under an old tree")
    message = await shown(studio, hans)
    _, export = await hans.ask("GET", f"/v1/chat/{studio.character}/export")
    assert export["messages"][-1]["alternatives"][0]["picture"]["key"] == message["picture"]["key"]
    status, _ = await hans.ask("DELETE", f"/v1/chat/{studio.character}/messages/{message['id']}")
    assert status == 200
    assert (await hans.ask("GET", message["picture"]["url"]))[0] == 404


async def test_deleting_everything_leaves_no_private_picture(studio: Studio) -> None:
    ines = await studio.server.as_user("Ines")
    await ask(studio, ines, prompt="on a quiet roof")
    message = await shown(studio, ines)
    assert (await ines.ask("DELETE", "/v1/memory"))[0] == 200
    assert (await ines.ask("GET", message["picture"]["url"]))[0] == 404
    assert studio.on_disk("quiet roof") == []


async def test_only_a_picture_can_be_made_again(studio: Studio) -> None:
    jana = await studio.server.as_user("Jana")
    _, done = await jana.say(studio.character, "Hello")
    path = f"/v1/chat/{studio.character}/pictures/{done['message']['id']}/again"
    assert (await jana.ask("POST", path))[0] == 400
    assert (await jana.ask("POST", f"/v1/chat/{studio.character}/pictures/9-9/again"))[0] == 404
