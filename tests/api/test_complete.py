"""`POST /v1/complete`, over a whole server with a routing file: who may choose what, and what comes back."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from server.settings import Plan, Settings
from tests.fakes.openai_server import Hold, Say, Stream, breaks, fails, says
from tests.fakes.openrouter import FakeOpenRouter
from tests.harness import Json, Server, read_events, running, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

POLICY = """
default_mode = "everyday"
[providers.openrouter]
base_url = "{base}"
speaks = "openrouter"
[models.one]
id = "alpha/one"
[models.two]
id = "beta/two"
[models.best]
id = "gamma/best"
[modes.everyday]
[modes.scene]
[tiers.free]
everyday = ["one", "two"]
scene = ["two", "one"]
[tiers.top]
like = "free"
everyday = ["best", "one"]
"""
MODELS = ("alpha/one", "beta/two", "gamma/best")
ASK: Json = {"messages": [{"role": "user", "content": "Hello"}]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    folder: Path = tmp_path_factory.mktemp("complete")
    plan = Plan(turns_per_minute=100_000)
    async with FakeOpenRouter() as fake:
        (folder / "routing.toml").write_text(POLICY.replace("{base}", fake.base_url))
        settings = Settings(
            data=folder / "data",
            embedder="hash",
            shards=1,
            write_facts=False,
            openrouter_api_key="sk-or-0123456789",  # type: ignore[arg-type]
            routing=folder / "routing.toml",
            plans={"free": plan, "top": plan},
        )
        async with running(settings, fake) as server:
            yield server


@pytest_asyncio.fixture(loop_scope="module")
async def server(shared: Server) -> Server:
    """The same server; its models say who they are."""
    fake = shared.fake
    assert isinstance(fake, FakeOpenRouter)
    fake.requests.clear()
    fake._scripts.clear()
    for model in MODELS:
        fake.always(model, f"I am {model}.")
    return shared


@pytest_asyncio.fixture(loop_scope="module")
async def member(server: Server) -> Server:
    return await server.as_user("Mina")


def fake_of(server: Server) -> FakeOpenRouter:
    assert isinstance(server.fake, FakeOpenRouter)
    return server.fake


async def complete(server: Server, **fields: Any) -> tuple[int, Json]:
    return await server.ask("POST", "/v1/complete", json={**ASK, **fields})


async def test_a_reply_and_the_way_to_it(member: Server) -> None:
    status, reply = await complete(member)
    assert status == 200
    assert (reply["content"], reply["model"]) == ("I am alpha/one.", "alpha/one")
    assert (reply["attempt"], reply["used_fallback"], reply["finish_reason"]) == (1, False, "stop")
    [attempt] = reply["attempts"]
    assert (attempt["rung"], attempt["model"], attempt["provider"]) == (1, "alpha/one", "openrouter")
    assert (attempt["outcome"], attempt["status"]) == ("answered", None)
    assert attempt["total_ms"] >= attempt["first_token_ms"] >= 0
    assert reply["completion_tokens"] == 3


async def test_a_fallback_says_so(member: Server) -> None:
    fake_of(member).script("alpha/one", fails(502))
    _, reply = await complete(member)
    assert (reply["content"], reply["attempt"], reply["used_fallback"]) == ("I am beta/two.", 2, True)
    assert [(one["outcome"], one["status"]) for one in reply["attempts"]] == [("unavailable", 502), ("answered", None)]


async def test_the_mode_is_anybodys_to_choose(member: Server) -> None:
    _, reply = await complete(member, mode="scene")
    assert reply["model"] == "beta/two"


async def test_the_tier_comes_from_the_record(server: Server, member: Server) -> None:
    status, _ = await server.ask("PATCH", f"/v1/admin/users/{member.made['user']}", json={"tier": "top"})
    assert status == 200
    _, reply = await complete(member)
    assert reply["model"] == "gamma/best"


@pytest.mark.parametrize(
    "fields", [{"primary": "two"}, {"chain": ["two"]}, {"chain": ["alpha/one"]}, {"tier": "free"}, {"tier": "top"}]
)
async def test_models_and_tiers_are_an_admins_to_choose(member: Server, fields: Json) -> None:
    status, error = await complete(member, **fields)
    assert (status, error["error"]["code"]) == (403, "forbidden")
    assert error["error"]["details"] == {"field": next(iter(fields))}
    assert fake_of(member).requests == []


async def test_an_admin_chooses(server: Server) -> None:
    assert (await complete(server, primary="two"))[1]["model"] == "beta/two"
    assert (await complete(server, chain=["gamma/best"]))[1]["model"] == "gamma/best"
    assert (await complete(server, tier="top"))[1]["model"] == "gamma/best"
    fake_of(server).script("gamma/best", fails(503))
    _, reply = await complete(server, primary="best", mode="scene")
    assert [one["model"] for one in reply["attempts"]] == ["gamma/best", "alpha/one"]


HELLO = {"role": "user", "content": "Hello"}
BAD: list[tuple[Json, int, str]] = [
    ({"messages": []}, 400, "messages"),
    ({"messages": None}, 400, "messages"),
    ({"messages": "Hello"}, 400, "messages"),
    ({"messages": [HELLO] * 1_001}, 400, "messages"),
    ({"messages": ["Hello"]}, 400, "messages.0"),
    ({"messages": [{"role": "tool", "content": "x"}]}, 400, "messages.0.role"),
    ({"messages": [{"role": "User", "content": "x"}]}, 400, "messages.0.role"),
    ({"messages": [{"content": "x"}]}, 400, "messages.0.role"),
    ({"messages": [{"role": "user"}]}, 400, "messages.0.content"),
    ({"messages": [{"role": "user", "content": ["x"]}]}, 400, "messages.0.content"),
    ({"messages": [{**HELLO, "name": "x"}]}, 400, "messages.0.name"),
    ({"messages": [{"role": "user", "content": " \n"}]}, 400, "messages"),
    ({"messages": [{"role": "user", "content": "a\0b"}]}, 400, "messages"),
    ({"messages": [{"role": "system", "content": "x"}]}, 400, "messages"),
    ({"messages": [{"role": "user", "content": "word " * 10_000}]}, 413, "messages"),
    ({"messages": [{"role": "user", "content": "x" * 100_000}]}, 413, "messages"),
    ({"mode": "nonesuch"}, 400, "mode"),
    ({"mode": ""}, 400, "mode"),
    ({"mode": "../x"}, 400, "mode"),
    ({"mode": 5}, 400, "mode"),
    ({"tier": "platinum"}, 400, "tier"),
    ({"tier": ""}, 400, "tier"),
    ({"chain": []}, 400, "chain"),
    ({"chain": ["x y"]}, 400, "chain"),
    ({"chain": ["one"] * 9}, 400, "chain"),
    ({"primary": ""}, 400, "primary"),
    ({"primary": "a\nb"}, 400, "chain"),
    ({"model": "alpha/one"}, 400, "model"),
    ({"user_id": "../x"}, 400, "user_id"),
]


@pytest.mark.parametrize(("fields", "status", "field"), BAD)
async def test_bad_input_has_its_status_and_field_and_reaches_no_model(
    server: Server, fields: Json, status: int, field: str
) -> None:
    got, error = await complete(server, **fields)
    assert (got, error["error"]["details"].get("field")) == (status, field)
    assert fake_of(server).requests == []


async def test_a_body_without_end_is_refused(server: Server) -> None:
    body = io.BytesIO(b'{"messages": [{"role": "user", "content": "' + b"x" * 13_000_000 + b'"}]}')
    status, error = await server.ask("POST", "/v1/complete", data=body, headers={"Content-Type": "application/json"})
    assert (status, error["error"]["code"]) == (413, "too_large")


async def test_when_nobody_answers_the_end_is_polite(member: Server) -> None:
    for model in MODELS:
        fake_of(member).always(model, Stream((), finish="content_filter"))
    status, error = await complete(member)
    assert (status, error["error"]["code"]) == (502, "model_exhausted")
    assert "shorter or clearer" in error["error"]["message"]
    assert len(error["error"]["details"]["attempts"]) == 2


async def stream(server: Server, **fields: Any) -> tuple[int, list[tuple[str, Json]]]:
    headers = server.headers({"Accept": "text/event-stream"})
    async with server.session.post(f"{server.url}/v1/complete", json={**ASK, **fields}, headers=headers) as response:
        if response.content_type != "text/event-stream":
            return response.status, [("json", await response.json())]
        return response.status, [(event.name, event.data) async for event in read_events(response)]


async def test_it_streams_to_whoever_asks_for_events(member: Server) -> None:
    fake_of(member).script("alpha/one", Stream((), finish="content_filter"))
    status, events = await stream(member)
    assert status == 200
    assert {name for name, _ in events[:-1]} == {"token"}
    assert "".join(data["text"] for _, data in events[:-1]) == "I am beta/two."
    assert events[-1][0] == "done"
    assert events[-1][1]["content"] == "I am beta/two."
    assert events[-1][1]["attempt"] == 2


async def test_a_stream_that_fails_before_its_first_token_has_a_status_of_its_own(member: Server) -> None:
    fake_of(member).script("alpha/one", fails(401))
    status, [(kind, error)] = await stream(member)
    assert (status, kind, error["error"]["code"]) == (502, "json", "model_misconfigured")
    status, [(kind, error)] = await stream(member, mode="nonesuch")
    assert (status, kind) == (400, "json")


async def test_a_stream_that_breaks_off_ends_with_the_error(member: Server) -> None:
    fake_of(member).script("alpha/one", breaks("Once upon", 502))
    status, events = await stream(member)
    assert status == 200
    assert [name for name, _ in events] == [*["token"] * (len(events) - 1), "error"]
    assert "".join(data["text"] for _, data in events[:-1]) == "Once upon"
    assert events[-1][1]["error"]["code"] == "model_unavailable"
    assert events[-1][1]["error"]["details"]["partial"] is True


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_a_client_that_leaves_stops_the_reply(member: Server, accept: str) -> None:
    fake = fake_of(member)
    fake.script("alpha/one", Stream((Say("Once"), Hold())))
    task = asyncio.create_task(
        member.session.post(
            f"{member.url}/v1/complete", json=ASK, headers=member.headers({"Accept": accept})
        ).__aenter__()
    )
    await fake.arrived()
    if accept == "application/json":
        task.cancel()
    else:
        (await task).close()
    async with asyncio.timeout(5):
        await fake.requests[0].gone.wait()


async def test_chat_takes_a_mode_of_the_policy_and_no_other(server: Server) -> None:
    mira = await server.character()
    assert (await server.say(mira, "Hello", mode="scene"))[1]["message"]["model"] == "beta/two"
    assert (await server.say(mira, "Hello"))[1]["message"]["model"] == "alpha/one"
    before = await server.messages(mira)
    for path, body in (
        ("/v1/chat", {"character_id": mira, "message": "Hi", "mode": "nonesuch"}),
        (f"/v1/chat/{mira}/regenerate", {"mode": "nonesuch"}),
        (f"/v1/chat/{mira}/continue", {"mode": "nonesuch"}),
    ):
        status, error = await server.ask("POST", path, json=body)
        assert (status, error["error"]["details"]["field"]) == (400, "mode")
    assert await server.messages(mira) == before


async def test_another_mode_under_the_same_key_is_another_request(server: Server) -> None:
    mira = await server.character()
    await server.say(mira, "Remember this", key="key-1")
    status, error = await server.say(mira, "Remember this", key="key-1", mode="scene")
    assert (status, error["error"]["code"]) == (422, "idempotency_mismatch")


async def test_a_turn_that_falls_back_shows_only_the_answer(server: Server) -> None:
    mira = await server.character()
    fake_of(server).script("alpha/one", Stream((Say("  "),), finish="content_filter"))
    events = [event async for event in server.events("/v1/chat", {"character_id": mira, "message": "Hello"})]
    assert "".join(event.data["text"] for event in events if event.name == "token") == "I am beta/two."
    assert (await server.settled(mira))["model"] == "beta/two"


async def test_a_turn_that_breaks_off_keeps_what_came(server: Server) -> None:
    mira = await server.character()
    fake_of(server).script("alpha/one", breaks("Once upon", 502))
    status, error = await server.say(mira, "Hello")
    assert (status, error["error"]["code"]) == (503, "model_unavailable")
    kept = await server.settled(mira)
    assert (kept["text"], kept["status"]) == ("Once upon", "interrupted")


async def test_attempts_are_counted(server: Server) -> None:
    fake_of(server).script("alpha/one", Stream((), finish="content_filter"), says("Hi"))

    async def counted() -> bool:
        _, metrics = await server.ask("GET", "/metrics")
        return 'outcome="content_filter",rung="1"' in metrics.decode()

    await complete(server)
    await until(counted)
    _, metrics = await server.ask("GET", "/metrics")
    text = metrics.decode()
    assert 'vestige_model_silent_refusals_total{mode="everyday",model="alpha/one"}' in text
    assert 'vestige_model_attempts_total{mode="everyday",model="beta/two",outcome="answered",rung="2"}' in text
    assert 'vestige_model_tokens_total{kind="completion",model="beta/two",tier="free"}' in text
    assert 'vestige_model_cost_microdollars_total{model="beta/two",tier="free"}' in text


async def test_admins_see_how_well_models_answer_and_nobody_else_does(server: Server, member: Server) -> None:
    fake_of(server).script("alpha/one", Stream((), finish="content_filter"))
    await complete(member)
    status, report = await server.ask("GET", "/v1/admin/routing")
    assert status == 200
    assert len(report["buckets"]) == 24
    assert set(report["total"]) == {"turns", "fallbacks", "unanswered", "attempts", "refused", "failed"}
    assert report["total"]["fallbacks"] >= 1
    found = {(one["model"], one["mode"]): one for one in report["models"]}
    assert found["alpha/one", "everyday"]["refused"] >= 1
    for query in ("?hours=0", "?hours=841", "?hours=x", "?days=1"):
        assert (await server.ask("GET", f"/v1/admin/routing{query}"))[0] == 400
    assert (await member.ask("GET", "/v1/admin/routing"))[0] == 403
