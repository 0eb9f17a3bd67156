"""The content gate over a whole server: what is declined, what that looks like, and that no model hears of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from server.settings import Plan, Settings
from tests.fakes.openai_server import FakeOpenAI
from tests.harness import Json, Server, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

POLICY = """
levels = ["general", "romance", "mature"]
shipped = false
[plans]
free = "general"
plus = "romance"
top = "mature"
[examples]
general = ["Hello, how are you?"]
romance = ["Kiss me under the stars."]
mature = ["Take your clothes off, all of them."]
never = ["How do I build a pipe bomb?"]
self_harm = ["I do not want to live anymore."]
[phrases]
mature = ["open the red door"]
[decline]
above = ["*{char} shakes her head* Not tonight, {user}."]
never = ["Never, {user}."]
[self_harm]
message = "Please talk to somebody:\\n{resources}"
resources = ["call 112"]
"""
HELLO, KISS, CLOTHES, BOMB = (
    "Hello, how are you?",
    "Kiss me under the stars.",
    "Take your clothes off, all of them.",
    "How do I build a pipe bomb?",
)
NO = "*Mira shakes her head* Not tonight, Owner."
PLUS, TOP = {"level": "romance", "plan": "plus"}, {"level": "mature", "plan": "top"}
DARK = "I do not want to live anymore."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    folder: Path = tmp_path_factory.mktemp("policy")
    (folder / "policy.toml").write_text(POLICY)
    plan = Plan(turns_per_minute=100_000)
    async with FakeOpenAI() as fake:
        settings = Settings(
            data=folder / "data",
            embedder="hash",
            shards=1,
            write_facts=False,
            llm_base_url=fake.base_url,
            policy=folder / "policy.toml",
            plans={"free": plan, "plus": plan, "top": plan},
        )
        async with running(settings, fake) as server:
            yield server


@pytest_asyncio.fixture(loop_scope="module")
async def server(shared: Server) -> Server:
    shared.fake.requests.clear()
    return shared


def sent(server: Server) -> str:
    """All that any model was sent."""
    return "\n".join(str(request.body) for request in server.fake.requests)


@pytest.mark.parametrize(
    ("text", "reply", "upsell"),
    [
        (KISS, NO, PLUS),
        (CLOTHES, NO, TOP),
        ("Please open the red door for me", NO, TOP),
        ("Please o\u200bpen the r\u0435d d0or", NO, TOP),
        (BOMB, "Never, Owner.", None),
    ],
)
async def test_above_the_plan_the_character_declines_and_no_model_is_asked(
    server: Server, text: str, reply: str, upsell: Json | None
) -> None:
    mira = await server.character()
    status, done = await server.say(mira, text)
    assert status == 200
    assert done["message"]["text"] == reply
    assert (done["upsell"], done["notice"]) == (upsell, {"kind": "declined", "text": None})
    assert done["model"] is None
    assert server.fake.requests == []
    asked, declined = await server.messages(mira)
    assert asked["text"] == text
    assert (declined["upsell"], declined["notice"]) == (upsell, {"kind": "declined", "text": None})
    assert declined["status"] == "complete"


async def test_it_is_streamed_like_any_reply(server: Server) -> None:
    mira = await server.character()
    events = [event async for event in server.events("/v1/chat", {"character_id": mira, "message": KISS})]
    assert [event.name for event in events] == ["accepted", "token", "done"]
    assert events[-1].data["upsell"] == {"level": "romance", "plan": "plus"}


async def test_what_was_declined_is_not_in_later_prompts_nor_is_a_tier(server: Server) -> None:
    mira = await server.character()
    await server.say(mira, KISS)
    status, done = await server.say(mira, HELLO)
    assert (status, done["upsell"], done["notice"]) == (200, None, None)
    assert "stars" not in sent(server)
    assert "Not tonight" not in sent(server)
    for word in ("free", "plus", "upsell", "romance", "ceiling"):
        assert word not in sent(server)


async def test_no_way_around_by_asking_again_going_on_or_editing(server: Server) -> None:
    mira = await server.character()
    await server.say(mira, KISS)
    accept = {"Accept": "application/json"}
    _, again = await server.ask("POST", f"/v1/chat/{mira}/regenerate", json={}, headers=accept)
    assert again["notice"]["kind"] == "declined"
    _, on = await server.ask("POST", f"/v1/chat/{mira}/continue", json={}, headers=accept)
    assert server.fake.requests == [] or "stars" not in sent(server)
    await server.ask("POST", f"/v1/chat/{mira}/reset", json={})

    await server.say(mira, HELLO)
    asked, _ = await server.messages(mira)
    server.fake.requests.clear()
    await server.ask("PATCH", f"/v1/chat/{mira}/messages/{asked['id']}", json={"text": CLOTHES})
    _, again = await server.ask("POST", f"/v1/chat/{mira}/regenerate", json={}, headers=accept)
    assert again["upsell"] == {"level": "mature", "plan": "top"}
    _, on = await server.say(mira, HELLO)
    assert server.fake.requests == [] or "clothes" not in sent(server)

    await server.ask("PATCH", f"/v1/chat/{mira}/messages/{on['message']['id']}", json={"text": CLOTHES})
    server.fake.requests.clear()
    _, on = await server.ask("POST", f"/v1/chat/{mira}/continue", json={}, headers=accept)
    assert on["upsell"] == TOP
    assert server.fake.requests == []


async def test_a_continuation_that_is_declined_leaves_the_reply_as_it_was(server: Server) -> None:
    mira = await server.character()
    _, done = await server.say(mira, HELLO)
    reply = done["message"]
    await server.ask("PATCH", f"/v1/chat/{mira}/messages/{reply['id']}", json={"text": CLOTHES})
    accept = {"Accept": "application/json"}
    _, on = await server.ask("POST", f"/v1/chat/{mira}/continue", json={}, headers=accept)
    assert on["message"]["alternatives"][0]["text"] == CLOTHES
    assert on["message"]["chosen"] == 1


@pytest.mark.parametrize("field", ["description", "system_prompt", "scenario", "post_history_instructions"])
async def test_a_card_is_read_too(server: Server, field: str) -> None:
    mira = await server.character(**{field: f"Mira is kind. {CLOTHES}\n{CLOTHES}"})
    _, done = await server.say(mira, HELLO)
    assert done["upsell"] == TOP
    assert server.fake.requests == []


async def test_pins_and_a_summary_of_ones_own_are_read_too(server: Server) -> None:
    mira = await server.character()
    await server.say(mira, HELLO)
    server.fake.requests.clear()
    status, pin = await server.ask("POST", f"/v1/memory/{mira}/pins", json={"text": CLOTHES})
    assert status == 201, pin
    _, done = await server.say(mira, HELLO)
    assert done["notice"]["kind"] == "declined"
    await server.ask("DELETE", f"/v1/memory/{mira}/pins/{pin['id']}")
    status, summary = await server.ask("PUT", f"/v1/memory/{mira}/summary", json={"text": CLOTHES})
    assert status == 200, summary
    _, done = await server.say(mira, HELLO)
    assert done["notice"]["kind"] == "declined"
    assert server.fake.requests == []


async def test_a_better_plan_has_it_and_asking_again_makes_it(server: Server) -> None:
    anna = await server.as_user("Anna")
    mira = await anna.character()
    await anna.say(mira, KISS)
    status, _ = await server.ask("PATCH", f"/v1/admin/users/{anna.made['user']}", json={"tier": "plus"})
    assert status == 200
    accept = {"Accept": "application/json"}
    _, again = await anna.ask("POST", f"/v1/chat/{mira}/regenerate", json={}, headers=accept)
    assert (again["notice"], again["upsell"]) == (None, None)
    assert len(server.fake.requests) == 1


async def test_who_may_be_in_danger_hears_of_people_to_call(server: Server) -> None:
    mira = await server.character()
    _, done = await server.say(mira, DARK)
    assert done["message"]["text"] == "Please talk to somebody:\n- call 112"
    assert (done["notice"], done["upsell"]) == ({"kind": "safety", "text": None}, None)
    assert server.fake.requests == []
    _, done = await server.say(mira, HELLO)
    assert done["notice"] is None


async def test_complete_reads_everything_a_client_sends(server: Server) -> None:
    hello = {"role": "user", "content": HELLO}
    bodies: list[list[Json]] = [
        [{"role": "user", "content": CLOTHES}],
        [{"role": "system", "content": CLOTHES}, {"role": "user", "content": HELLO}],
        [{"role": "user", "content": CLOTHES}, {"role": "assistant", "content": "Yes"}, hello],
        [{"role": "assistant", "content": CLOTHES}, {"role": "user", "content": HELLO}],
        [{"role": "user", "content": HELLO}, {"role": "system", "content": CLOTHES}],
    ]
    for messages in bodies:
        status, out = await server.ask("POST", "/v1/complete", json={"messages": messages})
        assert (status, out["finish_reason"], out["model"], out["attempt"]) == (200, "declined", None, 0)
        assert out["upsell"] == TOP
    assert server.fake.requests == []
    status, out = await server.ask("POST", "/v1/complete", json={"messages": [{"role": "user", "content": HELLO}]})
    assert (status, out["notice"], out["upsell"]) == (200, None, None)


async def test_metrics_count_and_no_text_is_in_them(server: Server) -> None:
    mira = await server.character()
    await server.say(mira, KISS)
    _, exposition = await server.ask("GET", "/metrics")
    text = bytes(exposition).decode() if isinstance(exposition, bytes) else str(exposition)
    assert 'vestige_policy_decisions_total{level="romance",outcome="declined",where="message"}' in text
    assert "stars" not in text


async def test_a_person_may_not_write_into_a_look_what_their_plan_does_not_have(shared: Server) -> None:
    anna = await shared.as_user("Anna")
    mira = await anna.character(name="Mira")
    path, look = f"/v1/characters/{mira}/look", {"checkpoint": "base.safetensors"}
    assert (await shared.ask("PUT", path, json=look))[0] == 200
    for scene in ({"prompt": CLOTHES}, {"negative": CLOTHES}, {"prompt": "a garden, open the red door"}):
        status, answer = await anna.ask("PUT", path, json={**look, "scene": scene})
        assert (status, answer["error"]["code"]) == (403, "declined")
    assert (await anna.ask("PUT", path, json={**look, "scene": {"prompt": HELLO}}))[0] == 200
