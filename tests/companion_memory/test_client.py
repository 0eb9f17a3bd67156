"""The node pack's client of the server: sentences for every failure, and nothing of address or key in them."""

import json
from collections.abc import Callable

import httpx
import pytest

from comfy_nodes.companion_memory.away import EMPTY, asked, fingerprint
from comfy_nodes.companion_memory.client import Companion
from comfy_nodes.companion_memory.errors import CompanionError, NotSetUp, Refused, ServerAway
from comfy_nodes.companion_memory.views import Memory, State, Worn

ADDRESS, KEY = "http://secret-host.example:8420", "vst_secret_key_0123456789"
CHARACTER = {"id": "mira", "name": "Mira", "names": ["Mira", "Mira Sol"], "appearance": "tall", "lora": None}
STATE = {"memory": "m", "worn": "w", "character": "c"}
Handler = Callable[[httpx.Request], httpx.Response]


def companion(handler: Handler) -> Companion:
    return Companion(ADDRESS, KEY, transport=httpx.MockTransport(handler))


def error(status: int, code: str, message: str) -> Handler:
    return lambda request: httpx.Response(status, json={"error": {"code": code, "message": message, "details": {}}})


def refuses(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError(f"cannot reach {ADDRESS}", request=request)


def times_out(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("late", request=request)


FAILURES: dict[str, tuple[Handler, type[CompanionError], str]] = {
    "closed": (refuses, ServerAway, "does not answer"),
    "late": (times_out, ServerAway, "does not answer"),
    "html": (lambda r: httpx.Response(200, text="<html>"), ServerAway, "no Vestige server"),
    "a list": (lambda r: httpx.Response(200, json=[1]), ServerAway, "no Vestige server"),
    "another shape": (lambda r: httpx.Response(200, json={"a": 1}), ServerAway, "another shape"),
    "a proxy's 502": (lambda r: httpx.Response(502, text="bad gateway"), ServerAway, "does not answer"),
    "a redirect": (lambda r: httpx.Response(302, headers={"Location": "/x"}), ServerAway, "no Vestige server"),
    "huge": (lambda r: httpx.Response(200, content=b" " * (5 << 20)), ServerAway, "more than 4 MB"),
    "busy": (error(503, "store_unavailable", "Redis rests."), ServerAway, "Redis rests."),
    "too fast": (error(429, "rate_limited", "Wait."), ServerAway, "Wait."),
    "revoked": (error(401, "unauthenticated", "No."), Refused, "does not take this key"),
    "reads only": (error(403, "forbidden", "It lacks the scope 'recall'."), Refused, "lacks the scope"),
    "no such character": (error(404, "not_found", "There is no such character."), Refused, "no such character"),
    "an older server": (error(404, "not_found", "There is nothing at this address."), Refused, "older than this"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_a_sentence_without_address_or_key(name: str) -> None:
    handler, kind, said = FAILURES[name]
    with pytest.raises(CompanionError) as caught:
        companion(handler).character("mira")
    assert type(caught.value) is kind
    assert said in str(caught.value)
    told = str(caught.value) + repr(caught.value.__cause__) + repr(companion(handler))
    assert "secret" not in told


@pytest.mark.parametrize(
    ("address", "key"),
    [("", KEY), (ADDRESS, ""), ("", ""), ("ftp://x", KEY), ("http://u:p@x", KEY), ("x", KEY), (ADDRESS, "a\nb")],
)
def test_an_environment_that_says_too_little_is_refused(address: str, key: str) -> None:
    with pytest.raises(NotSetUp):
        Companion(address, key)


@pytest.mark.parametrize("character", ["", "  "])
def test_a_character_has_to_be_named(character: str) -> None:
    with pytest.raises(Refused, match="No character is named"):
        companion(refuses).character(character)


def test_an_id_is_never_a_path() -> None:
    paths: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.raw_path.decode())
        return httpx.Response(200, json={"item": None})

    companion(answer).worn("../../admin?x=")
    assert paths == ["/v1/companion/..%2F..%2Fadmin%3Fx%3D/worn"]


def test_memory_is_read_with_where_it_came_from() -> None:
    found = {
        "state": "s",
        "text": "all",
        "tokens": 1,
        "summary": None,
        "recent": [{"id": "1-4", "chosen": 1, "alternatives": [{"text": "no"}, {"text": "On the pier."}]}],
        "memories": [{"turns": [{"message_id": "1-2", "text": "A cat."}]}],
    }

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=found if request.url.path.endswith("/memory") else CHARACTER)

    memory = companion(answer).recall("mira", "cat", 100)
    assert (memory.recent, memory.remembered, memory.summary) == (("On the pier.",), ("A cat.",), "")
    assert memory.names == ("Mira", "Mira Sol")
    assert json.loads(memory.provenance) == {"character": "mira", "state": "s", "recent": ["1-4"], "memories": ["1-2"]}


def test_the_state_is_asked_with_what_is_known_and_304_is_enough() -> None:
    asked_with: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked_with.append(request.headers.get("If-None-Match"))
        if asked_with[-1]:
            return httpx.Response(304)
        return httpx.Response(200, json=STATE, headers={"ETag": '"e"'})

    client = companion(answer)
    assert client.state("mira") == client.state("mira") == State("m", "w", "c")
    assert client.state("halina") == State("m", "w", "c")
    assert asked_with == [None, '"e"', None]


def test_a_note_says_whether_it_was_new() -> None:
    bodies: list[object] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        return httpx.Response(201, json={"noted": True})

    assert companion(answer).note("mira", key="k" * 8, item=None, preset="p@1", note="")
    assert bodies == [{"key": "k" * 8, "item_id": None, "preset": "p@1", "note": ""}]


def test_away_a_node_fails_or_goes_on_empty_as_it_was_told() -> None:
    away = companion(refuses)
    with pytest.raises(ServerAway):
        asked(lambda: away.worn("mira"), None, "fail")
    found, said = asked(lambda: away.recall("mira", "", 50), Memory(), EMPTY)
    assert found == Memory()
    assert "does not answer" in said
    revoked = companion(error(401, "unauthenticated", "No."))
    with pytest.raises(Refused):
        asked(lambda: revoked.worn("mira"), None, EMPTY)


def test_a_fingerprint_keeps_an_empty_result_and_makes_a_failure_try_again() -> None:
    def away() -> str:
        return companion(refuses).state("mira").memory

    assert fingerprint(away, EMPTY) == fingerprint(away, EMPTY) == "away"
    assert fingerprint(away, "fail") != fingerprint(away, "fail")
    assert fingerprint(lambda: "same", "fail") == "same"


def test_what_is_worn_may_be_nothing_or_have_no_picture() -> None:
    item = {"id": "coat", "title": "Coat", "category": "coats", "prompt_hint": "a coat", "reference": None}
    assert companion(lambda r: httpx.Response(200, json={"item": None})).worn("mira") is None
    assert companion(lambda r: httpx.Response(200, json={"item": item})).worn("mira") == Worn(
        "coat", "Coat", "a coat", ""
    )
