"""A chat with a model server over real HTTP: how it streams, ends and fails."""

import asyncio
import json
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest
from yarl import URL

from server.errors import (
    ModelError,
    ModelMisconfigured,
    ModelRefused,
    ModelTimeout,
    ModelUnavailable,
    ModelUnknown,
)
from server.routing.endpoint import ChatEndpoint
from server.routing.types import Finished, ModelRequest, Token, Usage
from tests.fakes.openai_server import (
    Answer,
    FakeOpenAI,
    HangUp,
    Hold,
    Pause,
    Raw,
    Say,
    Send,
    Stream,
    breaks,
    fails,
    says,
    silent,
)
from tests.routing.conftest import KEY

Ask = Callable[..., ModelRequest]
Make = Callable[..., ChatEndpoint]


async def run(endpoint: ChatEndpoint, request: ModelRequest) -> tuple[list[str], Finished | ModelError]:
    """The tokens that came, and how it ended."""
    shown: list[str] = []
    try:
        async for event in endpoint.stream(request):
            if isinstance(event, Finished):
                return shown, event
            shown.append(event.text)
    except ModelError as error:
        return shown, error
    raise AssertionError("the stream ended in neither")


async def test_text_comes_and_then_the_end(fake: FakeOpenAI, endpoint: ChatEndpoint, ask: Ask) -> None:
    fake.next("Good evening to you")
    shown, end = await run(endpoint, ask("Hello", max_tokens=70, temperature=0.5))
    assert "".join(shown) == "Good evening to you"
    assert end == Finished(model="fake-model", reason="stop", usage=Usage(4, 4))
    sent = fake.requests[0]
    assert sent.messages == [{"role": "system", "content": "You are Ada."}, {"role": "user", "content": "Hello"}]
    assert (sent.body["max_tokens"], sent.body["temperature"]) == (70, 0.5)
    assert sent.headers["Authorization"] == f"Bearer {KEY}"


async def test_the_first_token_does_not_wait_for_the_second(fake: FakeOpenAI, endpoint: ChatEndpoint, ask: Ask) -> None:
    more = Hold()
    fake.next(Stream((Say("One"), more, Say(" two"))))
    async with aclosing(endpoint.stream(ask())) as events:
        assert await anext(events) == Token("One")
        more.event.set()
        assert await anext(events) == Token(" two")


async def test_the_whole_text_at_once(fake: FakeOpenAI, endpoint: ChatEndpoint, ask: Ask) -> None:
    fake.next("Good evening", fails(500))
    text, finished = await endpoint.complete(ask())
    assert (text, finished.reason) == ("Good evening", "stop")
    with pytest.raises(ModelUnavailable):
        await endpoint.complete(ask())


async def test_a_summary_goes_to_its_own_model(fake: FakeOpenAI, make_endpoint: Make, ask: Ask) -> None:
    endpoint = make_endpoint(summary_model="cheap-model")
    await endpoint.complete(ask(purpose="summary"))
    await endpoint.complete(ask())
    await make_endpoint().complete(ask(purpose="summary"))
    assert [request.body["model"] for request in fake.requests] == ["cheap-model", "fake-model", "fake-model"]


async def test_one_connection_serves_many_turns(fake: FakeOpenAI, endpoint: ChatEndpoint, ask: Ask) -> None:
    for _ in range(5):
        await endpoint.complete(ask())
    assert len(fake.connections) == 1


async def test_many_at_once_do_not_mix(fake: FakeOpenAI, endpoint: ChatEndpoint, ask: Ask) -> None:
    replies = await asyncio.gather(*(endpoint.complete(ask(f"number {number}")) for number in range(40)))
    assert [text for text, _ in replies] == [f"I heard: number {number}." for number in range(40)]


@pytest.mark.parametrize(
    ("stream", "text"),
    [
        (Stream((Raw(b": ping\n\n"), Say("Hi"), Raw(b": ping\r\n\r\n"), Say(" you"))), "Hi you"),
        (Stream((Say("Hm", "reasoning"), Say("ok", "reasoning_content"), Say("Hi"))), "Hi"),
        (Stream((Say("Hi"),), usage=None), "Hi"),
        (Stream((Say("Hi"),), done=False), "Hi"),
        (Stream((Say("Hi"),), finish=None), "Hi"),
        (Stream((Say("Hi"), Raw(b"data: [DONE]\n\ndata: what is this\n\n"))), "Hi"),
        (Stream((Say("Hi"), Send({"choices": []}), Send({}))), "Hi"),
        (Stream((Say("Hi"),), finish="content_filter"), "Hi"),
        (Stream((Raw('data: {"choices":[{"delta":{"content":"ż'.encode()[:-1]), Raw(b'\xbc"}}]}\n\n'))), "ż"),
        (Answer(200, {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}), "Hi"),
    ],
)
async def test_what_servers_do_differently_is_understood(
    fake: FakeOpenAI, endpoint: ChatEndpoint, ask: Ask, stream: Stream | Answer, text: str
) -> None:
    fake.next(stream)
    shown, end = await run(endpoint, ask())
    assert isinstance(end, Finished)
    assert "".join(shown) == text


async def test_usage_that_was_not_sent_is_not_made_up(fake: FakeOpenAI, endpoint: ChatEndpoint, ask: Ask) -> None:
    fake.next(Stream((Say("Hi"),), usage=None))
    _, end = await run(endpoint, ask())
    assert isinstance(end, Finished)
    assert end.usage is None


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (fails(401), ModelMisconfigured),
        (fails(404, "no such model"), ModelUnknown),
        (fails(400, "vendor/nonesuch is not a valid model ID"), ModelUnknown),
        (fails(400, "bad", type="model_not_found"), ModelUnknown),
        (fails(400, "messages: roles must alternate"), ModelMisconfigured),
        (fails(429, retry_after=7), ModelUnavailable),
        (fails(503), ModelUnavailable),
        (Answer(500, b"<html>", content_type="text/html"), ModelUnavailable),
        (Answer(400, b"\xff" * 200_000, content_type="text/html"), ModelMisconfigured),
        (Answer(302, b"", {"Location": "http://127.0.0.1:1/v1"}), ModelMisconfigured),
        (Answer(204), ModelMisconfigured),
        (Answer(200, b"<html>Welcome!</html>", content_type="text/html"), ModelUnavailable),
        (Answer(200, b"", content_type="text/event-stream"), ModelUnavailable),
        (Answer(200, b"{", content_type="application/json"), ModelUnavailable),
        (Answer(200, b"[" * 90_000, content_type="application/json"), ModelUnavailable),
        (Answer(200, {"error": {"code": 429, "message": "slow down"}}), ModelUnavailable),
        (Answer(200, {"choices": []}), ModelRefused),
        (breaks("", 502), ModelUnavailable),
        (breaks("", "server_error"), ModelUnavailable),
        (breaks("", 401), ModelMisconfigured),
        (breaks("", "403", "flagged"), ModelMisconfigured),
        (Stream((HangUp(),)), ModelUnavailable),
        (Stream((), finish=None, done=False), ModelUnavailable),
        (Stream((), finish="stop"), ModelRefused),
        (Stream((), finish="content_filter"), ModelRefused),
        (Stream((Say("I cannot help", "refusal"),)), ModelRefused),
        (Stream((Say(" "), Say("\n"))), ModelRefused),
        (Stream((Say("Hm", "reasoning"),), finish="length"), ModelRefused),
        (Stream((Raw(b"data: nonsense\n\n"),)), ModelUnavailable),
        (Stream((Raw(b"data: \xff\xfe\n\n"),)), ModelUnavailable),
        (Stream((Raw(b"data: [1]\n\n"),)), ModelUnavailable),
        (Stream((Raw(b"data: " + b"[" * 90_000 + b"\n\n"),)), ModelUnavailable),
        (Stream((Raw(b"data: " + b"x" * 1_500_000),)), ModelUnavailable),
    ],
)
async def test_before_the_first_token_each_failure_has_its_kind(
    fake: FakeOpenAI, endpoint: ChatEndpoint, ask: Ask, script: Stream | Answer, kind: type[ModelError]
) -> None:
    fake.next(script)
    shown, end = await run(endpoint, ask())
    assert shown == []
    assert type(end) is kind
    assert isinstance(end, ModelError)
    assert end.details["partial"] is False
    assert KEY not in f"{end!r} {end.message} {end.details}"
    # the next turn is not the worse for it
    assert (await endpoint.complete(ask("Still there?")))[0] == "I heard: Still there?."


@pytest.mark.parametrize(
    "last",
    [
        HangUp(),
        Send({"error": {"code": 502, "message": "Provider disconnected"}}),
        Raw(b"data: nonsense\n\n"),
        Raw(b"data: " + b"x" * 1_500_000),
        Hold(),
    ],
)
async def test_after_tokens_a_break_is_an_error_and_the_tokens_were_seen(
    fake: FakeOpenAI, make_endpoint: Make, ask: Ask, last: Any
) -> None:
    fake.next(Stream((Say("Once"), Say(" upon"), last), finish=None, done=False))
    shown, end = await run(make_endpoint(silence_seconds=1), ask())
    assert "".join(shown) == "Once upon"
    assert isinstance(end, ModelUnavailable | ModelTimeout)
    assert end.details["partial"] is True


async def test_a_rate_limit_says_for_how_long(fake: FakeOpenAI, endpoint: ChatEndpoint, ask: Ask) -> None:
    fake.next(fails(429, retry_after=7))
    _, end = await run(endpoint, ask())
    assert isinstance(end, ModelUnavailable)
    assert end.details["retry_after"] == 7


async def test_silence_before_the_first_token_times_out(fake: FakeOpenAI, make_endpoint: Make, ask: Ask) -> None:
    fake.next(silent())
    shown, end = await run(make_endpoint(silence_seconds=0.6), ask())
    assert (shown, type(end)) == ([], ModelTimeout)
    await fake.requests[0].gone.wait()


async def test_comments_are_no_sign_of_work(fake: FakeOpenAI, make_endpoint: Make, ask: Ask) -> None:
    comments = [step for _ in range(100) for step in (Raw(b": OPENROUTER PROCESSING\n\n"), Pause(0.05))]
    fake.next(Stream(tuple(comments)))
    assert isinstance((await run(make_endpoint(silence_seconds=0.3), ask()))[1], ModelTimeout)


async def test_thinking_is_a_sign_of_work(fake: FakeOpenAI, make_endpoint: Make, ask: Ask) -> None:
    thoughts = [step for _ in range(9) for step in (Say("hm", "reasoning"), Pause(0.2))]
    fake.next(Stream((*thoughts, Say("Yes"))))
    shown, end = await run(make_endpoint(silence_seconds=1.5), ask())
    assert (shown, type(end)) == (["Yes"], Finished)


async def test_the_whole_reply_has_a_deadline_too(fake: FakeOpenAI, make_endpoint: Make, ask: Ask) -> None:
    fake.next(Stream(tuple(step for _ in range(100) for step in (Say("word "), Pause(0.05)))))
    shown, end = await run(make_endpoint(silence_seconds=60, total_seconds=1.5), ask())
    assert isinstance(end, ModelTimeout)
    assert 0 < len(shown) < 100


async def test_closing_the_stream_hangs_up(fake: FakeOpenAI, endpoint: ChatEndpoint, ask: Ask) -> None:
    fake.next(says("Once", Hold()))
    events = endpoint.stream(ask())
    assert await anext(events) == Token("Once")
    await events.aclose()
    async with asyncio.timeout(30):
        await fake.requests[0].gone.wait()


async def test_cancelling_the_reader_hangs_up(fake: FakeOpenAI, endpoint: ChatEndpoint, ask: Ask) -> None:
    fake.next(silent())
    task = asyncio.create_task(endpoint.complete(ask()))
    request = await fake.arrived()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(30):
        await request.gone.wait()


async def test_a_server_that_does_not_stop_is_stopped(fake: FakeOpenAI, endpoint: ChatEndpoint, ask: Ask) -> None:
    fake.next(Stream((*(Say("word " * 100) for _ in range(20)), Hold())))
    _, end = await run(endpoint, ask(max_tokens=16))
    assert isinstance(end, ModelUnavailable)
    assert "max_tokens" in end.message
    await fake.requests[0].gone.wait()


async def test_bytes_without_text_are_bounded_too(fake: FakeOpenAI, endpoint: ChatEndpoint, ask: Ask) -> None:
    filler = Raw(b'data: {"choices":[],"filler":"' + b"x" * 500_000 + b'"}\n\n')
    fake.next(Stream((*(filler for _ in range(20)), Hold())))
    _, end = await run(endpoint, ask(max_tokens=16))
    assert isinstance(end, ModelUnavailable)
    await fake.requests[0].gone.wait()


async def test_a_compressed_answer_is_refused_unread(fake: FakeOpenAI, endpoint: ChatEndpoint, ask: Ask) -> None:
    fake.next(Answer(200, b"\x1f\x8b" + b"\0" * 1_000, {"Content-Encoding": "gzip"}, "text/event-stream"))
    _, end = await run(endpoint, ask())
    assert isinstance(end, ModelUnavailable)
    assert "compressed" in end.message
    assert fake.requests[0].headers["Accept-Encoding"] == "identity"


async def test_a_field_the_server_does_not_know_is_left_out_from_then_on(
    fake: FakeOpenAI, endpoint: ChatEndpoint, ask: Ask
) -> None:
    fake.next(fails(422, "Extra inputs are not permitted: 'stream_options'"), "Hi", "Hi")
    await endpoint.complete(ask())
    await endpoint.complete(ask())
    assert ["stream_options" in request.body for request in fake.requests] == [True, False, False]


async def test_the_bound_has_two_names(fake: FakeOpenAI, endpoint: ChatEndpoint, ask: Ask) -> None:
    fake.next(fails(400, "Unsupported 'max_tokens': use 'max_completion_tokens'", param="max_tokens"), "Hi")
    await endpoint.complete(ask(max_tokens=99))
    assert fake.requests[1].body["max_completion_tokens"] == 99


async def test_a_field_that_stays_unknown_is_an_error(fake: FakeOpenAI, endpoint: ChatEndpoint, ask: Ask) -> None:
    fake.respond = lambda _: fails(400, "bad value for 'stream_options' and 'temperature'")
    _, end = await run(endpoint, ask(temperature=0.3))
    assert isinstance(end, ModelMisconfigured)
    assert len(fake.requests) == 3


async def test_a_server_that_is_not_there(fake: FakeOpenAI, endpoint: ChatEndpoint, ask: Ask) -> None:
    address = URL(fake.base_url).authority
    await fake.stop()
    _, end = await run(endpoint, ask())
    assert isinstance(end, ModelUnavailable)
    assert end.message == f"The model server at {address} cannot be reached. Is it running?"


async def test_something_that_does_not_speak_http(make_endpoint: Make, ask: Ask) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        endpoint = make_endpoint(base_url=URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"))
        _, end = await run(endpoint, ask())
    assert isinstance(end, ModelUnavailable)
    assert KEY not in repr(end.__cause__)


async def test_a_connection_that_was_closed_while_it_was_kept_costs_no_turn(make_endpoint: Make, ask: Ask) -> None:
    """As llama.cpp does: it answers, says nothing of closing, and is gone with the next request."""
    served: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in range(2):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            if number == 0:
                served.append(1)
                body = b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
                writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        endpoint = make_endpoint(base_url=URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"))
        for _ in range(3):
            assert (await endpoint.complete(ask()))[0] == "Hi"
    assert len(served) == 3


async def test_what_arrives_together_is_shown_together(fake: FakeOpenAI, endpoint: ChatEndpoint, ask: Ask) -> None:
    def event(text: str, model: str = "fake-model") -> str:
        body = {"id": "x", "model": model, "choices": [{"index": 0, "delta": {"content": text}}]}
        return f"data: {json.dumps(body)}\n\n"

    events = [event("Once"), event(" upon"), event(" a", "another"), event(" time"), "data: {\n\n"]
    fake.next(Stream((Raw("".join(events).encode()),)))
    shown, end = await run(endpoint, ask())
    assert shown == ["Once upon", " a", " time"]
    assert isinstance(end, ModelUnavailable)
    assert end.details["partial"]
