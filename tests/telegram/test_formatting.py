"""From the server's HTML to Telegram's text and entities, and into pieces of a size that it takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.markdown import render
from server.telegram.formatting import Span, Styled, from_html, units
from server.telegram.splitting import MESSAGE_UNITS, split


def styled(markdown: str) -> list[tuple[str, str]]:
    """The styled parts of a message, as `(style, text)`."""
    made = from_html(render(markdown))
    return [(span.kind, made.text[span.start : span.end]) for span in made.spans]


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("Hello", "Hello"),
        ("One\n\nTwo", "One\n\nTwo"),
        ("a < b & c > d", "a < b & c > d"),
        ("- one\n- two", "• one\n• two"),
        ("1. one\n2. two", "1. one\n2. two"),
        ("before\n\n---\n\nafter", "before\n\n—\n\nafter"),
        ("# Title\n\ntext", "Title\n\ntext"),
        ("> said", "said"),
        ("| a | b |\n| - | - |\n| c | d |", "a  b\nc  d"),
        ("```\na\n  b\n```", "a\n  b"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
    ],
)
def test_texts(markdown: str, text: str) -> None:
    assert from_html(render(markdown)).text == text


@pytest.mark.parametrize(
    ("markdown", "spans"),
    [
        ("*She smiles.* Yes.", [("italic", "She smiles.")]),
        ("**so** and `so`", [("bold", "so"), ("code", "so")]),
        ("***both***", [("bold", "both"), ("italic", "both")]),
        ("```\na\n```", [("pre", "a")]),
        ("> said", [("blockquote", "said")]),
        ("`*no*`", [("code", "*no*")]),
    ],
)
def test_styles(markdown: str, spans: list[tuple[str, str]]) -> None:
    assert sorted(styled(markdown)) == sorted(spans)


class TestSplitting:
    @pytest.mark.parametrize(
        ("text", "most", "pieces"),
        [
            ("short", 100, ["short"]),
            ("", 100, []),
            ("one one one\n\ntwo two", 14, ["one one one", "two two"]),
            ("One is here. Two is here.", 16, ["One is here.", "Two is here."]),
            ("one two three", 8, ["one two", "three"]),
            ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
            ("😀😀😀", 4, ["😀😀", "😀"]),
            ("😀😀😀", 5, ["😀😀", "😀"]),
        ],
    )
    def test_where_it_is_cut(self, text: str, most: int, pieces: list[str]) -> None:
        assert [piece.text for piece in split(Styled(text), most)] == pieces

    def test_a_style_over_the_cut_is_in_both(self) -> None:
        first, second = split(Styled("one two three four", (Span("bold", 4, 13),)), 10)
        assert (first.text, second.text) == ("one two", "three four")
        assert first.spans == (Span("bold", 4, 7),)
        assert second.spans == (Span("bold", 0, 5),)

    @given(st.text(max_size=300), st.integers(4, 60), st.lists(st.tuples(st.integers(0, 300), st.integers(1, 50))))
    def test_whatever_is_said_fits_and_nothing_is_lost(
        self, text: str, most: int, styles: list[tuple[int, int]]
    ) -> None:
        spans = tuple(
            Span("bold", start, min(len(text), start + length)) for start, length in styles if start < len(text)
        )
        pieces = split(Styled(text, spans), most)
        assert "".join("".join(piece.text.split()) for piece in pieces) == "".join(text.split())
        for piece in pieces:
            assert 0 < units(piece.text) <= most
            assert all(0 <= span.start < span.end <= len(piece.text) for span in piece.spans)


def test_a_whole_chapter() -> None:
    chapter = "\n\n".join("It was a *dark* night. " * 40 for _ in range(12))
    pieces = split(from_html(render(chapter)))
    assert len(pieces) == 3
    assert all(units(piece.text) <= MESSAGE_UNITS and piece.text.endswith("night.") for piece in pieces)
