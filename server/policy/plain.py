"""A message as it is read for its level: disguises taken off, in pieces short enough that nothing hides in the rest."""

import re
import unicodedata

PIECE = 240
"""Characters of a piece: a sentence or two. In a longer one a single sentence weighs too little to be seen."""

_SENTENCE = re.compile(r"(?<=[.!?…。！？\n])\s+|\n+")
_SPACED = re.compile(r"(?<![^\W_])[^\W_]([.\-_*·/|]|\s{1,3})[^\W_](?:\1[^\W_])+(?![^\W_])")
_INSIDE = re.compile(r"(?<=[^\W\d_])[0134578@$!](?=[^\W\d_])|(?<![\w$])[$@](?=[^\W\d_])")
_AS_LETTER = str.maketrans("0134578@$!", "oieastbasi")
# Cyrillic and Greek letters that look like Latin ones (Unicode's confusables.txt, the ones fonts do not tell apart).
_LOOKS = str.maketrans(
    "авеіјкмнорсѕтухһԁԛԝАВЕЅІЈКМНОРСТУХοαενικρτυΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "abeijkmhopcstyxhdqwABESIJKMHOPCTYXoaevikptuABEZHIKMNOPTYX",
)
_LATIN = re.compile(r"[a-zA-Z]")
_LOOKALIKE = re.compile(r"[\u0370-\u03ff\u0400-\u052f]")
_WORD = re.compile(r"\w+")


def plain(text: str) -> str:
    """`text` without invisible characters, look-alike letters, l33t and l e t t e r s set apart; on one line.

    Text that hides nothing comes back as it was, but for its white space.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
        text = "".join(c for c in text if unicodedata.category(c) != "Cf")
        text = _without_piles(text)
        if _LATIN.search(text) and _LOOKALIKE.search(text):
            text = _WORD.sub(_latin, text)
    text = _INSIDE.sub(lambda found: found[0].translate(_AS_LETTER), text)
    text = _SPACED.sub(lambda found: found[0].replace(found[1], ""), text)
    return " ".join(text.split())


def pieces(text: str) -> list[str]:
    """`text` as `plain` pieces of at most `PIECE` characters that end where sentences do; none for an empty one."""
    found: list[str] = []
    for sentence in filter(None, map(plain, _SENTENCE.split(text))):
        if found and len(found[-1]) + 1 + len(sentence) <= PIECE:
            found[-1] = f"{found[-1]} {sentence}"
        else:
            found += _cut(sentence)
    return found


def _cut(sentence: str) -> list[str]:
    """A long sentence in overlapping parts, so that what is cut in two is whole in one of them."""
    if len(sentence) <= PIECE:
        return [sentence]
    step = PIECE * 2 // 3
    return [sentence[at : at + PIECE] for at in range(0, len(sentence) - PIECE + step, step)]


def _latin(word: re.Match[str]) -> str:
    """A word that is Latin or could be: every other letter in it is a look-alike."""
    changed = word[0].translate(_LOOKS)
    return changed if changed.isascii() else word[0]


def _without_piles(text: str) -> str:
    """Combining marks that were piled up to break words apart: one on a letter is writing, more are not."""
    kept: list[str] = []
    for c in text:
        if unicodedata.combining(c) and kept and unicodedata.combining(kept[-1]):
            continue
        kept.append(c)
    return "".join(kept)
