"""A message as the server renders it (safe HTML) → the text that Telegram shows, with entities for its style.

Entities, not markup: a text is then never read a second time, and nothing a model writes can break a message.
"""

from dataclasses import dataclass, replace
from html.parser import HTMLParser

_STYLES = {
    "strong": "bold",
    "b": "bold",
    "h1": "bold",
    "h2": "bold",
    "h3": "bold",
    "h4": "bold",
    "h5": "bold",
    "h6": "bold",
    "em": "italic",
    "i": "italic",
    "s": "strikethrough",
    "del": "strikethrough",
    "code": "code",
    "pre": "pre",
    "blockquote": "blockquote",
}
_BLOCKS = frozenset({"p", "ul", "ol", "pre", "blockquote", "table", "h1", "h2", "h3", "h4", "h5", "h6"})
_LINES = frozenset({"li", "tr"})


@dataclass(frozen=True, slots=True)
class Span:
    """A style from character `start` to `end`, exclusive, of a text."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Styled:
    text: str
    spans: tuple[Span, ...] = ()

    def cut(self, start: int, end: int) -> "Styled":
        """A part of it, without blank space at its ends; styles that go on over an edge are cut there."""
        part = self.text[start:end]
        start += len(part) - len(part.lstrip())
        end = start + len(part.strip())
        spans = [
            Span(span.kind, max(span.start, start) - start, min(span.end, end) - start)
            for span in self.spans
            if span.start < end and span.end > start
        ]
        return Styled(self.text[start:end], tuple(spans))


def units(text: str) -> int:
    """The length of a text as Telegram counts: in UTF-16 code units."""
    return len(text) + sum(letter > "\uffff" for letter in text)


def from_html(html: str) -> Styled:
    """The text of safe HTML with its styles."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    text = reader.text
    styled = Styled(text, tuple(reader.spans)).cut(0, len(text))
    inside_code = [span for span in styled.spans if span.kind in ("code", "pre")]
    # Telegram refuses other styles within code, and code within preformatted text
    return replace(styled, spans=tuple(span for span in styled.spans if not _within(span, inside_code)))


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.spans: list[Span] = []
        self._open: list[tuple[str, int]] = []
        self._numbers: list[int] = []
        self._sign = 0  # where the text begins that a list's sign stands before

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BLOCKS:
            self._space("\n\n")
        elif tag in _LINES:
            self._space("\n")
        if tag == "ol":
            self._numbers.append(1)
        elif tag == "ul":
            self._numbers.append(0)
        elif tag == "li" and self._numbers:
            number = self._numbers[-1]
            self.text += f"{number}. " if number else "• "
            self._numbers[-1] += bool(number)
            self._sign = len(self.text)
        elif tag == "br":
            self.text += "\n"
        elif tag == "hr":
            self._space("\n\n")
            self.text += "—"
        elif tag in ("td", "th") and self.text and not self.text.endswith("\n"):
            self.text += "  "
        if tag in _STYLES:
            self._open.append((tag, len(self.text)))

    def handle_endtag(self, tag: str) -> None:
        for at in range(len(self._open) - 1, -1, -1):
            if self._open[at][0] == tag:
                start = self._open.pop(at)[1]
                end = len(self.text.rstrip())
                if end > start:
                    self.spans.append(Span(_STYLES[tag], start, end))
                break
        if tag in ("ol", "ul") and self._numbers:
            self._numbers.pop()
        if tag in _BLOCKS:
            self._space("\n\n")

    def handle_data(self, data: str) -> None:
        preformatted = any(tag == "pre" for tag, _ in self._open)
        if not preformatted:
            data = data.replace("\n", " ") if data.strip() else ("" if "\n" in data else data)
        self.text += data

    def _space(self, ends: str) -> None:
        """The text so far ends in `ends`, unless nothing is there yet but a list's sign."""
        if len(self.text) > self._sign:
            self.text = self.text.rstrip(" \n") + ends


def _within(span: Span, others: list[Span]) -> bool:
    return any(
        other is not span
        and other.start <= span.start
        and span.end <= other.end
        and (other.kind == "pre" or span.kind not in ("pre", "code"))
        for other in others
    )
