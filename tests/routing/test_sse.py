"""The reader of event streams, against the rules of the HTML specification."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.routing.sse import EventReader, EventTooLarge


def read(*chunks: bytes) -> list[str]:
    reader = EventReader()
    return [event for chunk in chunks for event in reader.feed(chunk)]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: one\n\ndata: two\n\n", ["one", "two"]),
        (b"data: one\r\n\r\ndata: two\r\n\r\n", ["one", "two"]),
        (b"data: one\r\rdata: two\r\r", ["one", "two"]),
        (b"data:no space\n\n", ["no space"]),
        (b"data:  two spaces\n\n", [" two spaces"]),
        (b"data: a\ndata: b\ndata:\ndata: c\n\n", ["a\nb\n\nc"]),
        (b"data\n\n", [""]),
        (b": OPENROUTER PROCESSING\n\n: again\n\ndata: x\n\n", ["x"]),
        (b"data: x\n: a comment within\n\n", ["x"]),
        (b"event: message\nid: 7\nretry: 10\ndata: x\n\n", ["x"]),
        (b"event: ping\n\n", []),
        (b"datum: x\nDATA: y\n\n", []),
        (b"\n\n\n\ndata: x\n\n\n", ["x"]),
        (b"\xef\xbb\xbfdata: after a mark\n\n", ["after a mark"]),
        (b"data: a: b: c\n\n", ["a: b: c"]),
        ("data: héllo 👋🏽\n\n".encode(), ["héllo 👋🏽"]),
        (b"data: \xff\xfe\n\n", ["\ufffd\ufffd"]),
        (b"data: cut off by the end\n", []),
        (b"", []),
    ],
)
def test_an_event_is_its_data(stream: bytes, events: list[str]) -> None:
    assert read(stream) == events


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])), min_size=1, max_size=5),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.data(),
)
def test_it_does_not_matter_where_the_network_cuts(texts: list[str], end: str, data: st.DataObject) -> None:
    stream = "".join(f": comment{end}{end}data: {text}{end}{end}" for text in texts).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert read(*chunks) == texts


PIECES = (
    b"data: a\n\n", b"data: \xc3", b"\xb6\n\n", b"data:b\n\n", b"data: c\n", b"\n", b"\r", b": x\n\n", b"data: ",
)  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=9))
def test_whole_events_in_one_chunk_are_read_as_byte_by_byte(parts: list[bytes]) -> None:
    stream = b"data: first\n\n", b"".join(parts)
    assert read(*stream) == read(*(bytes([byte]) for byte in b"".join(stream)))


def test_one_byte_at_a_time() -> None:
    stream = "data: żółw\r\n\r\ndata: b\r\ndata: c\r\n\r\n".encode()
    assert read(*(bytes([byte]) for byte in stream)) == ["żółw", "b\nc"]


def test_the_quick_way_has_the_same_bound() -> None:
    reader = EventReader(max_event=100)
    assert reader.feed(b"data: a\n\n") == ["a"]
    assert reader.feed(b"data: a\n\n" * 50) == ["a"] * 50
    with pytest.raises(EventTooLarge):
        reader.feed(b"data: " + b"x" * 101 + b"\n\n")


@pytest.mark.parametrize(
    "chunk", [b"data: " + b"x" * 2_000, b": " + b"x" * 2_000, b"data: x\n" * 300, b"x" * 2_000, b"id: 1\n" * 300]
)
def test_memory_is_bounded_whatever_does_not_end(chunk: bytes) -> None:
    with pytest.raises(EventTooLarge):
        EventReader(max_event=1_000).feed(chunk)


def test_a_stream_may_be_as_long_as_it_likes() -> None:
    reader = EventReader(max_event=100)
    for _ in range(200):
        assert reader.feed(b": still thinking\n\n") == []
        assert reader.feed(b"data: small\n\n") == ["small"]
    for _ in range(200):
        assert reader.feed(b": keep-alive\n") == []
