"""What goes out."""

import json
from datetime import UTC, datetime

import pytest
from pydantic import BaseModel

from server.api.respond import attachment, error_json, json_bytes
from server.errors import ModelUnavailable, NotFound, RateLimited, Unauthenticated


class When(BaseModel):
    at: datetime


def test_times_carry_their_offset_and_text_stays_readable() -> None:
    at = datetime(2026, 11, 23, 5, 54, tzinfo=UTC)
    expected = {"one": {"at": "2026-11-23T05:54:00+00:00"}, "all": [{"at": "2026-11-23T05:54:00+00:00"}], "who": "Zoë"}
    sent = json_bytes({"one": When(at=at), "all": [When(at=at)], "who": "Zoë"})
    assert json.loads(sent) == expected
    assert "Zoë".encode() in sent


def test_what_is_not_json_is_a_bug_and_not_a_string() -> None:
    with pytest.raises(TypeError):
        json_bytes({"bytes": b"x"})


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (RateLimited("Wait.", retry_after=7), {"Retry-After": "7"}),
        (ModelUnavailable("Later.", retry_after=6.2), {"Retry-After": "7"}),
        (Unauthenticated("Who are you?"), {"WWW-Authenticate": 'Bearer realm="vestige"'}),
        (NotFound("Nothing."), {}),
    ],
)
def test_errors(error: NotFound, headers: dict[str, str]) -> None:
    response = error_json(error)
    assert response.status == error.status
    assert isinstance(response.body, bytes)
    assert json.loads(response.body) == error.payload()
    assert {name: response.headers[name] for name in headers} == headers


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Mira.json", "attachment; filename=\"Mira.json\"; filename*=UTF-8''Mira.json"),
        ("Зоя 🙂.png", "attachment; filename=\"_ _.png\"; filename*=UTF-8''%D0%97%D0%BE%D1%8F%20%F0%9F%99%82.png"),
        ('a"; x="b\r\nSet-Cookie: c', None),
        ("../../etc/passwd", None),
        ("", "attachment; filename=\"download\"; filename*=UTF-8''"),
    ],
)
def test_a_download_keeps_its_name_and_the_header_stays_one(name: str, expected: str | None) -> None:
    header = attachment(name)
    assert expected is None or header == expected
    assert header.isascii() and header.isprintable()
    assert header.count('"') == 2 and "/" not in header
