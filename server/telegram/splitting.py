"""A long reply in as few messages as Telegram allows, cut where a reader would pause."""

from server.telegram.formatting import Styled, units

MESSAGE_UNITS = 4_096
CAPTION_UNITS = 1_024
SPANS_MOST = 100
_PAUSES = (("\n\n",), ("\n",), (". ", "! ", "? ", "… ", '." ', "。", "！", "？"), (" ",))
_LEAST = 0.5
"""A cut in the first half of what fits makes too many messages: then a lesser pause is taken."""


def split(styled: Styled, most: int = MESSAGE_UNITS) -> list[Styled]:
    """Pieces of at most `most` UTF-16 units and 100 styles each; together they are the whole, but for blank space."""
    pieces: list[Styled] = []
    start, text = 0, styled.text
    while start < len(text):
        end = _fitting(text, start, most)
        if end < len(text):
            end = _pause(text, start, end)
        piece = styled.cut(start, end)
        if piece.text:
            pieces.append(Styled(piece.text, piece.spans[:SPANS_MOST]))
        start = end
    return pieces


def _fitting(text: str, start: int, most: int) -> int:
    """How far one gets from `start` within `most` units: a character of two is never halved."""
    end = min(len(text), start + most)
    while units(text[start:end]) > most:
        end -= max(1, (units(text[start:end]) - most) // 2)
    return end


def _pause(text: str, start: int, end: int) -> int:
    """Where to cut before `end`: after a paragraph, else a line, a sentence, a word."""
    least = start + int((end - start) * _LEAST)
    for marks in _PAUSES:
        cut = max(at + len(mark) if (at := text.rfind(mark, least, end)) >= 0 else -1 for mark in marks)
        if cut > start:
            return cut
    return end
