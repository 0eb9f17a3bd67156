"""What each refusal of a model server becomes, and what its sentence gives away: nothing."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from server.errors import ModelError, ModelMisconfigured, ModelRefused, ModelUnavailable, ModelUnknown
from server.routing.failures import Target, failure, read_report, refused_field
from server.routing.types import PromptMessage

TARGET = Target("The model server at api.example.org", "vendor/m", "LLM_API_KEY", "LLM_MODEL", has_key=True)


def fail(status: int, body: object = None, headers: dict[str, str] | None = None, prompt: str = "") -> ModelError:
    return failure(TARGET, status, read_report(body), headers or {}, [PromptMessage("user", prompt)])


@pytest.mark.parametrize(
    ("status", "error", "kind", "words"),
    [
        (400, {"message": "bad"}, ModelMisconfigured, "'vendor/m'.*LLM_MODEL"),
        (400, {"code": "context_length_exceeded"}, ModelMisconfigured, "context_tokens in the plan"),
        (400, {"code": "content_filter"}, ModelRefused, "content filter"),
        (400, {"type": "content_policy_violation"}, ModelRefused, "content filter"),
        (401, {}, ModelMisconfigured, "refused the key: check LLM_API_KEY"),
        (402, {}, ModelMisconfigured, "no credit"),
        (402, {"metadata": {"limit_source": "openrouter_in_flight_budget"}}, ModelUnavailable, "Try again"),
        (403, {}, ModelMisconfigured, "LLM_API_KEY and its permissions"),
        (403, {"metadata": {"reasons": ["x"], "flagged_input": "…"}}, ModelRefused, "content filter"),
        (403, {"metadata": {"error_type": "content_policy_violation"}}, ModelRefused, "content filter"),
        (404, {}, ModelUnknown, "'vendor/m': check LLM_MODEL.*/v1"),
        (410, {}, ModelUnknown, "LLM_MODEL"),
        (413, {}, ModelMisconfigured, "context_tokens in the plan"),
        (418, {}, ModelMisconfigured, "status 418"),
        (422, {}, ModelMisconfigured, "'vendor/m'"),
        (301, {}, ModelMisconfigured, "redirect"),
        (408, {}, ModelUnavailable, "Try again"),
        (409, {}, ModelUnavailable, "Try again"),
        (425, {}, ModelUnavailable, "Try again"),
        (429, {}, ModelUnavailable, "rate limit"),
        (500, {}, ModelUnavailable, "Try again"),
        (503, {"code": "content_filter"}, ModelUnavailable, "Try again"),
        (529, {}, ModelUnavailable, "Try again"),
    ],
)
def test_each_status_becomes_one_of_our_errors(
    status: int, error: dict[str, Any], kind: type[ModelError], words: str
) -> None:
    result = fail(status, {"error": error})
    assert type(result) is kind
    assert re.search(words, result.message)
    assert result.details["upstream_status"] == status
    assert result.details["model"] == "vendor/m"


def test_a_missing_key_is_asked_for() -> None:
    target = Target("The model server at api.example.org", "m", "LLM_API_KEY", "LLM_MODEL", has_key=False)
    assert "set LLM_API_KEY" in failure(target, 401, read_report(None), {}, ()).message


def test_a_prompt_that_is_too_long_says_by_how_much() -> None:
    body = {"error": {"code": 400, "type": "exceed_context_size_error", "n_prompt_tokens": 9_031, "n_ctx": 4_096}}
    error = fail(400, body)
    assert "9031 tokens of at most 4096" in error.message
    assert (error.details["prompt_tokens"], error.details["context_tokens"]) == (9_031, 4_096)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("2.5", 2.5),
        ("0", 0),
        ("999999999", 86_400),
        ("soon", None),
        ("-3", None),
        ("", None),
        ("1e400", None),
    ],
)
def test_retry_after_in_seconds(value: str, seconds: float | None) -> None:
    assert fail(429, headers={"Retry-After": value}).details.get("retry_after") == seconds


def test_retry_after_as_a_date() -> None:
    past, future = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(hours=1)
    assert fail(429, headers={"Retry-After": format_datetime(past, usegmt=True)}).details["retry_after"] == 0
    wait = fail(503, headers={"Retry-After": format_datetime(future, usegmt=True)}).details["retry_after"]
    assert isinstance(wait, float)
    assert wait > 0


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "top_k is not known"}},
        {"error": "top_k is not known"},
        {"object": "error", "message": "top_k is not known"},
        {"detail": "top_k is not known"},
        {"detail": [{"loc": ["body", "top_k"], "msg": "top_k is not known", "input": "secret"}]},
    ],
)
def test_every_shape_of_error_is_read(body: object) -> None:
    message = fail(422, body).message
    assert "top_k is not known" in message
    assert "secret" not in message


@pytest.mark.parametrize("body", [None, [], 7, "x" * 10_000, {"error": {"code": [], "type": {}, "metadata": 3}}])
def test_no_body_is_too_odd(body: object) -> None:
    assert len(fail(400, body).message) < 500


@pytest.mark.parametrize(
    "said",
    [
        "Cannot parse: 'my sister Ruth has moved to Porto in May'",
        "Incorrect API key provided: sk-abc123. You can find it on your page.",
        "Header 'Bearer abcdef' is bad",
    ],
)
def test_what_the_server_said_is_left_out_where_it_quotes(said: str) -> None:
    message = fail(400, {"error": {"message": said}}, prompt="Well, my  sister Ruth has moved to Porto in May.").message
    assert "Porto" not in message
    assert "sk-" not in message
    assert "abcdef" not in message


def test_what_the_server_said_is_one_short_line() -> None:
    message = fail(400, {"error": {"message": "first\n\x1b[31msecond\n" * 200}}).message
    assert message.isprintable()
    assert len(message) < 400


@pytest.mark.parametrize(
    ("error", "field"),
    [
        ({"message": "Unsupported parameter: 'stream_options'"}, "stream_options"),
        ({"message": "no", "param": "temperature"}, "temperature"),
        ({"message": "('body', 'session_id'): Extra inputs are not permitted"}, "session_id"),
        ({"message": "'max_tokens' is not supported. Use 'max_completion_tokens' instead."}, "max_tokens"),
        ({"message": "'max_tokens' is too large"}, None),
        ({"message": "the user must speak first, at any temperature"}, None),
        ({"message": "'top_k' is unknown"}, None),
    ],
)
def test_which_field_a_server_does_not_take(error: dict[str, Any], field: str | None) -> None:
    names = ("model", "messages", "stream_options", "temperature", "session_id", "user", "max_tokens")
    assert refused_field(read_report({"error": error}), dict.fromkeys(names, 1)) == field
