"""Everything OpenRouter is known to do, walked through a chain of two, streamed and whole.

`Backup.` is what the second model says. What a row expects: the primary's own text, or how its attempt ended and
whether the second was asked.
"""

from dataclasses import dataclass

import pytest

from server.errors import ModelError
from server.routing.types import AttemptOutcome
from tests.fakes.openai_server import (
    Answer,
    Drip,
    HangUp,
    NoAnswer,
    Pause,
    Raw,
    Say,
    Script,
    Send,
    Stream,
    breaks,
    fails,
    says,
)
from tests.routing.chains import BACKUP, ONE_CHAIN, PRIMARY, House

IMPATIENT = ONE_CHAIN.replace('id = "alpha/one"', 'id = "alpha/one"\nfirst_token_seconds = 0.3')


@dataclass(frozen=True)
class Row:
    """`text`: the primary answers with it. Else `outcome`, and the second is asked unless the chain `stops`."""

    name: str
    script: Script
    text: str | None = None
    outcome: AttemptOutcome | None = None
    stops: bool = False


def event(data: str) -> bytes:
    return f"data: {data}\n\n".encode()


def content(text: str) -> str:
    return '{"choices":[{"index":0,"delta":{"content":"' + text + '"}}]}'


SPLIT = event(content("Zażółć 👋"))
CUT = SPLIT.index("👋".encode()) + 2  # in the middle of a character of four bytes

READ = [
    Row("plain", says("Good evening"), "Good evening"),
    Row("comments", Stream((Raw(b": OPENROUTER PROCESSING\n\n" * 3), Say("Hi"), Raw(b": ping\n\n"))), "Hi"),
    Row("comment within an event", Stream((Raw(b": ping\ndata: " + content("Hi").encode() + b"\n\n"),)), "Hi"),
    Row("split UTF-8", Stream((Raw(SPLIT[:CUT]), Pause(0.02), Raw(SPLIT[CUT:]))), "Zażółć 👋"),
    Row(
        "split lines",
        Stream((Raw(b"da"), Pause(0.02), Raw(b"ta: " + content("Hi").encode() + b"\n"), Raw(b"\n"))),
        "Hi",
    ),
    Row("drip", Stream((Drip(SPLIT),)), "Zażółć 👋"),
    Row("CRLF", Stream((Raw(b"data: " + content("Hi").encode() + b"\r\n\r\n"),)), "Hi"),
    Row("data over two lines", Stream((Raw(b'data: {"choices":[{"delta":\ndata: {"content":"Hi"}}]}\n\n'),)), "Hi"),
    Row("usage last, after the end", Stream((Say("Hi"),), usage={"cost": 0.001}), "Hi"),
    Row("no usage", Stream((Say("Hi"),), usage=None), "Hi"),
    Row("no [DONE]", Stream((Say("Hi"),), done=False), "Hi"),
    Row("no finish reason", Stream((Say("Hi"),), finish=None), "Hi"),
    Row("an unknown finish reason", says("Hi", finish="new_reason"), "Hi"),
    Row("length with text", says("Once upon", finish="length"), "Once upon"),
    Row("content_filter with text", says("Once upon", finish="content_filter"), "Once upon"),
    Row("reasoning, then text", Stream((Say("Hm", "reasoning"), Say("Hi"))), "Hi"),
    Row(
        "reasoning_details, then text",
        Stream((Send({"choices": [{"delta": {"reasoning_details": [{}]}}]}), Say("Hi"))),
        "Hi",
    ),
    Row("blank, then text", Stream((Say(" "), Say("\n"), Say("Hi"))), " \nHi"),
    Row("empty chunks", Stream((Send({}), Send({"choices": []}), Say("Hi"), Send({"choices": [{}]}))), "Hi"),
    Row("not streamed", Answer(200, {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}), "Hi"),
]

ADVANCES = [
    *(
        Row(f"status {status}", fails(status), outcome="unavailable")
        for status in (408, 409, 425, 500, 502, 503, 504, 524, 529)
    ),
    Row("status 429", fails(429), outcome="rate_limited"),
    Row("503 in HTML", Answer(503, b"<html>", content_type="text/html"), outcome="unavailable"),
    Row("402 in flight", fails(402, metadata={"limit_source": "openrouter_in_flight_budget"}), outcome="unavailable"),
    Row("403 moderation", fails(403, metadata={"reasons": ["x"], "flagged_input": "…"}), outcome="content_filter"),
    Row("unknown id", fails(400, "alpha/one is not a valid model ID"), outcome="unknown_model"),
    Row("retired id", fails(404, "No endpoints found for alpha/one."), outcome="unknown_model"),
    Row("gone", fails(410), outcome="unknown_model"),
    *(
        Row(f"error chunk {code!r}", breaks("", code), outcome="unavailable")
        for code in (502, "502", "server_error", 408, 400, "401")
    ),
    Row("error chunk 429", breaks("", 429), outcome="rate_limited"),
    Row("error without a code", Stream((Send({"error": {"message": "?"}}),), finish=None), outcome="unavailable"),
    Row(
        "error in a choice",
        Stream((Send({"choices": [{"error": {"code": 502}}]}),), finish=None),
        outcome="unavailable",
    ),
    Row("finish reason error", Stream((), finish="error"), outcome="unavailable"),
    Row("error under 200", Answer(200, {"error": {"code": 503, "message": "overloaded"}}), outcome="unavailable"),
    *(
        Row(f"empty, {reason}", Stream((), finish=reason), outcome="empty")
        for reason in ("stop", "length", "tool_calls", "new_reason")
    ),
    Row("empty, no reason", Stream((), finish=None), outcome="empty"),
    Row("content_filter", Stream((), finish="content_filter"), outcome="content_filter"),
    Row("blank", Stream((Say(" "), Say("\n\u200b"))), outcome="empty"),
    Row("refusal", Stream((Say("I cannot help with that", "refusal"),)), outcome="refusal"),
    Row(
        "all reasoning", Stream((Say("Hm", "reasoning"), Say("Hm", "reasoning")), finish="length"), outcome="reasoning"
    ),
    Row(
        "reasoning by usage",
        Stream((), "length", {"completion_tokens_details": {"reasoning_tokens": 9}}),
        outcome="reasoning",
    ),
    Row(
        "empty, not streamed",
        Answer(200, {"choices": [{"message": {"content": None}, "finish_reason": "stop"}]}),
        outcome="empty",
    ),
    Row("no choices", Answer(200, {"choices": []}), outcome="empty"),
    Row("hang before the head", NoAnswer(hang=True), outcome="timeout"),
    Row("hang after the head", Stream((Pause(60),)), outcome="timeout"),
    Row("hang while it thinks", Stream((Say("Hm", "reasoning"), Pause(60))), outcome="timeout"),
    Row("comments for ever", Stream((Raw(b": OPENROUTER PROCESSING\n\n"), Pause(60))), outcome="timeout"),
    Row("reset before the head", NoAnswer(), outcome="unavailable"),
    Row("reset after the head", Stream((HangUp(),)), outcome="unavailable"),
    Row("ends without an end", Stream((), finish=None, done=False), outcome="unavailable"),
    Row("garbage", Stream((Raw(b"data: what is this\n\n"),)), outcome="unavailable"),
    Row("bytes that are no text", Stream((Raw(b"data: \xff\xfe\n\n"),)), outcome="unavailable"),
    Row("a list", Stream((Raw(b"data: [1]\n\n"),)), outcome="unavailable"),
    Row("an endless event", Stream((Raw(b"data: " + b"x" * 1_200_000),)), outcome="unavailable"),
    Row("a page", Answer(200, b"<html>Welcome</html>", content_type="text/html"), outcome="unavailable"),
    Row("nothing at all", Answer(200, b"", content_type="text/event-stream"), outcome="unavailable"),
    Row("broken JSON", Answer(200, b"{", content_type="application/json"), outcome="unavailable"),
    Row("compressed", Answer(200, b"\x1f\x8b\0", {"Content-Encoding": "gzip"}), outcome="unavailable"),
]

STOPS = [
    Row("bad key", fails(401, "No auth credentials found"), outcome="misconfigured", stops=True),
    Row("no credit", fails(402, "Insufficient credits"), outcome="misconfigured", stops=True),
    Row("not allowed", fails(403, "Key is not allowed"), outcome="misconfigured", stops=True),
    Row("bad request", fails(400, "messages: roles must alternate"), outcome="misconfigured", stops=True),
    Row("too long", fails(400, "too long", code="context_length_exceeded"), outcome="misconfigured", stops=True),
    Row("too large", fails(413), outcome="misconfigured", stops=True),
    Row("unprocessable", fails(422), outcome="misconfigured", stops=True),
    Row("redirect", Answer(302, b"", {"Location": "http://127.0.0.1:1/"}), outcome="misconfigured", stops=True),
]

MID_STREAM = [
    Row("error chunk", breaks("Once upon", 502)),
    Row("error chunk with a name", breaks("Once upon", "server_error")),
    Row("reset", says("Once upon", HangUp())),
    Row("ends without an end", Stream((Say("Once"), Say(" upon")), finish=None, done=False)),
    Row("garbage", says("Once upon", Raw(b"data: what is this\n\n"))),
]


def named(rows: list[Row]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", rows, ids=[row.name for row in rows])


both = pytest.mark.parametrize("whole", [False, True], ids=["streamed", "whole"])


@both
@named(READ)
async def test_a_reply_is_read_however_it_comes(house: House, row: Row, whole: bool) -> None:
    house.fake.script(PRIMARY, row.script)
    said = await house.ask(whole=whole)
    assert said.text == row.text
    assert (said.finished.attempt, said.finished.used_fallback) == (1, False)
    assert house.fake.asked == [PRIMARY]
    assert [outcome.status for outcome in house.book.settled] == ["done"]


@both
@named(ADVANCES + STOPS)
async def test_a_failure_is_never_shown_and_the_next_is_asked_where_it_may_do_better(
    open_chain, row: Row, whole: bool
) -> None:
    async with open_chain(policy=IMPATIENT if row.outcome == "timeout" else ONE_CHAIN) as house:
        house.fake.script(PRIMARY, row.script)
        house.fake.always(BACKUP, "Backup.")
        said = await house.ask(whole=whole)
        assert house.entries[0].outcome == row.outcome
        assert len(house.book.settled) == len(house.entries) == len(house.book.reserved)
        if row.stops:
            assert said.shown == []
            assert said.error.code == "model_misconfigured"
            assert said.error.details["partial"] is False
            assert house.fake.asked == [PRIMARY]
        else:
            assert said.text == "Backup."
            assert house.fake.asked == [PRIMARY, BACKUP]
            assert (said.finished.attempt, said.finished.used_fallback) == (2, True)
            assert [tried.outcome for tried in said.finished.attempts] == [row.outcome, "answered"]


@named(MID_STREAM)
async def test_after_a_token_there_is_no_switch_and_what_came_is_kept(house: House, row: Row) -> None:
    house.fake.script(PRIMARY, row.script)
    said = await house.ask()
    assert said.text == "Once upon"
    assert isinstance(said.error, ModelError)
    assert said.error.details["partial"] is True
    assert house.fake.asked == [PRIMARY]
    assert [entry.outcome for entry in house.entries] == ["cut_off"]
    assert [outcome.status for outcome in house.book.settled] == ["cut"]


@named(MID_STREAM)
async def test_where_nothing_was_shown_yet_a_broken_reply_is_made_anew(house: House, row: Row) -> None:
    house.fake.script(PRIMARY, row.script)
    house.fake.always(BACKUP, "Backup.")
    said = await house.ask(whole=True)
    assert said.text == "Backup."
    assert [tried.outcome for tried in said.finished.attempts] == ["cut_off", "answered"]
