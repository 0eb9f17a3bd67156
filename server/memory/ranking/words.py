"""Text to terms: what two texts must share to match by words."""

import re
import threading
import zlib
from collections.abc import Iterable

import Stemmer

# Words that say how something is said rather than what; pronouns and speaker names are a feature of their own.
_STOP = """
    a about all also am an and any are as at be because been but by can could d did do does during for from get got
    had has have he her hers him his how i if in into is it its just like ll m me more most my no not of on one or our
    out re s she so some t than that the their them then there they this to too up us ve was we were what when where
    which who whom whose why will with would you your"""
STOP = frozenset(_STOP.split())
# Words of a turn that can answer "when": English, like the questions that ask it.
_WHEN = """
    yesterday last ago week weeks weekend month months tomorrow tonight today year years next recently just since
    monday tuesday wednesday thursday friday saturday sunday"""
WHEN_WORDS = frozenset(_WHEN.split())
NUMBERS = frozenset({"one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "once", "twice"})
SELF = frozenset({"i", "me", "my", "mine", "we", "us", "our", "ours"})
_CJK = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_TERM = re.compile(rf"[{_CJK}]+|[^\W_{_CJK}]+")
_IS_CJK = re.compile(rf"[{_CJK}]")
_POSSESSIVE = re.compile(r"['’]s\b")
_local = threading.local()  # a stemmer has a cache inside and is not safe to share between threads


def words(text: str) -> list[str]:
    """Lower-cased words in order; runs of Chinese or Japanese become overlapping pairs of characters."""
    text = _POSSESSIVE.sub("", text.lower())
    found = _TERM.findall(text)
    if text.isascii() or not _IS_CJK.search(text):
        return found
    split: list[str] = []
    for word in found:
        if len(word) > 2 and _IS_CJK.match(word):
            split.extend(word[i : i + 2] for i in range(len(word) - 1))
        else:
            split.append(word)
    return split


def stems(tokens: Iterable[str]) -> list[str]:
    """Snowball's English stems without stop words. Words in other alphabets come through as they are."""
    stemmer = getattr(_local, "english", None)
    if stemmer is None:
        stemmer = _local.english = Stemmer.Stemmer("english")
    return stemmer.stemWords([token for token in tokens if token not in STOP])


def term_ids(text: str) -> list[int]:
    """32-bit hashes of the stems of `text`, in order, with repeats.

    Hashes rather than strings, so that an index holds numbers only; two words meet by chance once in four billion.
    """
    return hashed(words(text))


def hashed(tokens: Iterable[str]) -> list[int]:
    """`term_ids` of words that are split already."""
    return [zlib.crc32(stem.encode("utf-8", "surrogatepass")) for stem in stems(tokens)]
