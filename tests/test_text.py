"""What people type, made safe to keep."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import InvalidRequest, TooLarge
from server.text import clean_name, clean_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello", "Hello"),
        (" two \n\n lines\t", " two \n\n lines\t"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("a\x00b", InvalidRequest),
        ("a\x07\x1b[0m\x7f\x85b", "a[0mb"),
        ("half \ud83d pair", InvalidRequest),
        ("", InvalidRequest),
        (" \n\t\r", InvalidRequest),
        ("\u200b\ufeff\u2060", InvalidRequest),
        ("\x07", InvalidRequest),
        ("é" * 50, "é" * 50),
        ("é" * 51, TooLarge),
        ("a" * 101, TooLarge),
        ("👩‍🚀", "👩‍🚀"),
    ],
)
def test_messages(text: str, expected: str | type[InvalidRequest]) -> None:
    if isinstance(expected, str):
        assert clean_text(text, limit=100) == expected
    else:
        with pytest.raises(expected) as refused:
            clean_text(text, limit=100)
        assert type(refused.value) is expected


def test_the_limit_is_named() -> None:
    with pytest.raises(TooLarge, match="101 bytes, and at most 100 are taken") as refused:
        clean_text("a" * 101, limit=100)
    assert refused.value.details["limit"] == 100


@given(st.text(st.characters(codec="utf-8")))
def test_cleaning_twice_changes_nothing(text: str) -> None:
    for clean in (lambda text: clean_text(text, limit=10_000), clean_name):
        try:
            once = clean(text)
        except InvalidRequest:
            continue
        assert clean(once) == once
        assert once.strip() and "\r" not in once
        once.encode()
