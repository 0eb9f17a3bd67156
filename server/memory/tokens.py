"""How many tokens a text costs, near enough for a budget and without a tokenizer."""

import math
import re
from functools import lru_cache

TOKENS_PER_WORD = 1.33
TOKENS_PER_LETTER_UNSPACED = 1.0  # scripts without spaces: about one token a character
LETTERS_PER_TOKEN_LONG = 4.0  # a "word" of hundreds of characters is a URL, code or a paste
LONG_WORD = 40  # characters
SHORT, REMEMBERED = 2_000, 8_192  # characters, texts

# Scripts written without spaces: Chinese, Japanese, Thai, Lao, Khmer, Burmese. Korean has spaces.
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)


def estimate_tokens(text: str) -> int:
    """Tokens of `text`: words x 1.33, rounded up.

    Characters of scripts without spaces count one token each, and a word longer than 40 characters counts by its
    letters, so that neither a Chinese chapter nor a pasted blob passes for one word.
    """
    return _remembered(text) if len(text) <= SHORT else _count(text)


def _count(text: str) -> int:
    return math.ceil(round(weigh(text), 6))


_remembered = lru_cache(REMEMBERED)(_count)
"""A turn counts the same card, and the same messages, as the turn before it."""


def weigh(text: str) -> float:
    """The estimate before rounding: the weights of pieces that are joined with white space add up to the whole's."""
    unspaced = 0
    if not text.isascii():
        unspaced = len(_UNSPACED.findall(text))
        if unspaced:
            text = _UNSPACED.sub(" ", text)
    words = text.split()
    weight = TOKENS_PER_WORD * len(words)
    if len(text) > LONG_WORD and max(map(len, words), default=0) > LONG_WORD:
        weight += sum(len(word) / LETTERS_PER_TOKEN_LONG - TOKENS_PER_WORD for word in words if len(word) > LONG_WORD)
    return weight + TOKENS_PER_LETTER_UNSPACED * unspaced
