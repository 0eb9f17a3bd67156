"""What a request says to which kind of server, and what a chunk is understood to say."""

import json
from typing import Any

import pytest

from server.routing.types import ModelRequest, PromptMessage, Usage
from server.routing.wire import Dialect, chunk_of, micro_dollars, read_chunks, read_usage, request_body, without

PROMPT = [
    PromptMessage("system", "Who you are.", cacheable=True),
    PromptMessage("system", "What you remember."),
    PromptMessage("user", "Hello"),
]


@pytest.mark.parametrize(
    ("host", "dialect"),
    [
        ("openrouter.ai", Dialect.OPENROUTER),
        ("eu.openrouter.ai", Dialect.OPENROUTER),
        ("notopenrouter.ai", Dialect.PLAIN),
        ("openrouter.ai.example.org", Dialect.PLAIN),
        ("api.openai.com", Dialect.OPENAI),
        ("team.openai.azure.com", Dialect.OPENAI),
        ("127.0.0.1", Dialect.PLAIN),
    ],
)
def test_the_dialect_is_the_hosts(host: str, dialect: Dialect) -> None:
    assert Dialect.of(host) is dialect


def test_a_plain_server_gets_plain_fields_only() -> None:
    request = ModelRequest(PROMPT, max_tokens=50, temperature=0.7, session="tenant/user/character")
    assert request_body(request, "m", Dialect.PLAIN) == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Who you are."},
            {"role": "system", "content": "What you remember."},
            {"role": "user", "content": "Hello"},
        ],
        "stream": True,
        "max_tokens": 50,
        "temperature": 0.7,
        "stream_options": {"include_usage": True},
    }


def test_a_temperature_that_is_not_set_is_not_sent() -> None:
    assert "temperature" not in request_body(ModelRequest(PROMPT), "m", Dialect.PLAIN)


def test_openai_gets_its_own_name_for_the_bound() -> None:
    body = request_body(ModelRequest(PROMPT, max_tokens=50), "m", Dialect.OPENAI)
    assert body["max_completion_tokens"] == 50
    assert "max_tokens" not in body


def test_openrouter_learns_the_session_but_not_whose_it_is() -> None:
    request = ModelRequest(PROMPT, session="household/anna/mira")
    body = request_body(request, "openai/gpt-4.1-mini", Dialect.OPENROUTER)
    assert body["session_id"] == body["user"]
    assert body["session_id"] == request_body(request, "another/model", Dialect.OPENROUTER)["session_id"]
    assert not any(part in json.dumps(body) for part in ("household", "anna", "mira"))
    assert body["plugins"] == [{"id": "context-compression", "enabled": False}]


@pytest.mark.parametrize(
    ("dialect", "model", "marked"),
    [
        (Dialect.OPENROUTER, "anthropic/claude-sonnet-4.5", True),
        (Dialect.OPENROUTER, "google/gemini-2.5-flash", True),
        (Dialect.OPENROUTER, "openai/gpt-4.1-mini", False),
        (Dialect.OPENROUTER, "openrouter/auto", False),
        (Dialect.PLAIN, "anthropic/claude-sonnet-4.5", False),
    ],
)
def test_breakpoints_go_to_who_takes_them(dialect: Dialect, model: str, marked: bool) -> None:
    first, second, third = request_body(ModelRequest(PROMPT), model, dialect)["messages"]
    plain = {"role": "system", "content": "Who you are."}
    part = {"type": "text", "text": "Who you are.", "cache_control": {"type": "ephemeral"}}
    assert first == ({"role": "system", "content": [part]} if marked else plain)
    assert isinstance(second["content"], str)
    assert isinstance(third["content"], str)


def test_at_most_four_breakpoints_the_first_and_the_last_three() -> None:
    messages = [PromptMessage("user", str(number), cacheable=True) for number in range(9)]
    body = request_body(ModelRequest(messages), "anthropic/x", Dialect.OPENROUTER)
    marked = [index for index, message in enumerate(body["messages"]) if isinstance(message["content"], list)]
    assert marked == [0, 6, 7, 8]


def test_a_reply_is_bounded_under_either_name() -> None:
    body = request_body(ModelRequest(PROMPT, max_tokens=50), "m", Dialect.PLAIN)
    assert "stream_options" not in without(body, "stream_options")
    assert without(body, "max_tokens")["max_completion_tokens"] == 50


@pytest.mark.parametrize(
    ("delta", "text", "alive"),
    [
        ({"content": "Hi"}, "Hi", True),
        ({"role": "assistant", "content": None}, "", False),
        ({"role": "assistant", "content": ""}, "", False),
        ({}, "", False),
        ({"reasoning": "Let me think"}, "", True),
        ({"reasoning_content": "Let me think"}, "", True),
        ({"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Hi"}]}, "Hi", True),
        ({"content": 7}, "", False),
        ({"tool_calls": [{"index": 0}]}, "", True),
    ],
)
def test_only_content_is_visible(delta: dict[str, Any], text: str, alive: bool) -> None:
    chunk = chunk_of({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    assert (chunk.text, chunk.alive) == (text, alive)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"choices": []},
        {"choices": None},
        {"choices": [None]},
        {"choices": [{}]},
        {"choices": [{"delta": None}]},
        {"choices": [{"delta": "x", "finish_reason": 4}], "model": 1, "usage": "many"},
        {"choices": {"0": {}}},
    ],
)
def test_a_chunk_with_nothing_in_it_says_nothing(body: dict[str, Any]) -> None:
    chunk = chunk_of(body)
    assert (chunk.text, chunk.alive, chunk.reason, chunk.model, chunk.usage, chunk.error) == ("", False) + (None,) * 4


@pytest.mark.parametrize("data", ["", "null", "[]", "7", '"x"', "{", "OPENROUTER PROCESSING", "[" * 100_000])
def test_what_is_no_object_is_refused(data: str) -> None:
    with pytest.raises((ValueError, RecursionError)):
        list(read_chunks([data]))


def test_an_error_is_seen_wherever_it_stands() -> None:
    assert chunk_of({"error": {"code": 502}}).error == {"code": 502}
    assert chunk_of({"choices": [{"delta": {}, "error": {"code": 502}}]}).error == {"code": 502}
    assert chunk_of({"choices": [{"delta": {}, "finish_reason": "error"}]}).error is not None


def test_usage_with_everything() -> None:
    value = {
        "prompt_tokens": 194,
        "completion_tokens": 20,
        "total_tokens": 214,
        "cost": 0.00095,
        "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 5},
        "completion_tokens_details": {"reasoning_tokens": 7},
    }
    assert read_usage(value) == Usage(194, 20, cached_tokens=100, reasoning_tokens=7, cost=950)


@pytest.mark.parametrize(
    ("value", "usage"),
    [
        (None, None),
        ([], None),
        ({}, None),
        ({"prompt_tokens": 5}, None),
        ({"prompt_tokens": "5", "completion_tokens": 2}, None),
        ({"prompt_tokens": True, "completion_tokens": 2}, None),
        ({"prompt_tokens": 5, "completion_tokens": 2}, Usage(5, 2)),
        ({"prompt_tokens": 5.0, "completion_tokens": 2}, Usage(5, 2)),
        ({"prompt_tokens": -5, "completion_tokens": -2, "cost": -3}, Usage(0, 0)),
        ({"prompt_tokens": float("inf"), "completion_tokens": 2}, None),
        ({"prompt_tokens": 10**30, "completion_tokens": 2}, Usage(10**12, 2)),
        ({"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": None}, Usage(5, 2)),
    ],
)
def test_usage_is_never_guessed_and_never_negative(value: object, usage: Usage | None) -> None:
    assert read_usage(value) == usage


@pytest.mark.parametrize(
    ("dollars", "micro"),
    [
        (0, 0),
        (0.00095, 950),
        (0.1 + 0.2, 300_001),
        (0.0000001, 1),
        (1, 1_000_000),
        (-0.5, None),
        (float("nan"), None),
        (float("inf"), None),
        (1_000_000, 10**12),
        (1e300, None),
        (True, None),
        ("0.1", None),
        (None, None),
    ],
)
def test_money_is_whole_micro_dollars_rounded_up(dollars: object, micro: int | None) -> None:
    assert micro_dollars(dollars) == micro


QUICK: dict[str, Any] = {"id": "gen-1", "model": "m", "choices": [{"index": 0, "delta": {"content": "Hi"}}]}
DELTA = {"role": "assistant", "content": "Hi"}


@pytest.mark.parametrize(
    "body",
    [
        QUICK,
        {**QUICK, "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
        {**QUICK, "usage": None},
        {**QUICK, "error": {"code": 502}},
        {**QUICK, "model": None},
        {**QUICK, "model": "m" * 300},
        {**QUICK, "id": 7},
        {**QUICK, "choices": [{"delta": DELTA, "finish_reason": "stop"}]},
        {**QUICK, "choices": [{"delta": DELTA, "finish_reason": None, "error": {"code": 1}}]},
        {**QUICK, "choices": [{"delta": {**DELTA, "refusal": "no"}}]},
        {**QUICK, "choices": [{"delta": {**DELTA, "refusal": None, "reasoning": None}}]},
        {**QUICK, "choices": [{"delta": {**DELTA, "reasoning": "hm"}}]},
        {**QUICK, "choices": [{"delta": {"content": ""}}]},
        {**QUICK, "choices": [{"delta": {"content": [{"type": "text", "text": "Hi"}]}}]},
        {**QUICK, "choices": [{"delta": None, "message": {"content": "Hi"}}]},
        {**QUICK, "choices": [{"delta": DELTA}, {"delta": DELTA}]},
        {**QUICK, "choices": []},
        {**QUICK, "choices": {}},
        {**QUICK, "choices": "x"},
        {},
    ],
)
def test_the_quick_way_to_read_a_chunk_reads_what_the_other_does(body: dict[str, Any]) -> None:
    assert list(read_chunks([json.dumps(body)])) == [chunk_of(body)]


def test_text_that_came_together_is_one_chunk_and_all_else_stays_apart() -> None:
    def event(text: str, **more: object) -> str:
        return json.dumps({**QUICK, "choices": [{"delta": {"content": text}}], **more})

    events = [event("a"), event("b,]"), event("[{"), event("c", model="another"), event("d", id="y"), event("e")]
    events += [event("f", usage={}), event("g", usage={}), event("h")]
    assert [chunk.text for chunk in read_chunks(events)] == ["ab,][{", "c", "d", "e", "f", "g", "h"]


@pytest.mark.parametrize(
    ("events", "before"),
    [
        (['{"model":"a"}', "{", '{"model":"b"}'], ["a"]),
        (['{"model":"a"', '"id":"x"}'], []),  # one object together
        (['{"model":"a"},{}', "{}"], []),  # more than there are events
        (['{"model":"a"}', '{"model":"b"}', "[]"], ["a", "b"]),
        (['{"model":"a"}', "[" * 100_000], ["a"]),
    ],
)
def test_a_broken_event_is_refused_after_those_before_it(events: list[str], before: list[str]) -> None:
    found: list[str | None] = []
    with pytest.raises((ValueError, RecursionError)):
        found.extend(chunk.model for chunk in read_chunks(events))
    assert found == before
