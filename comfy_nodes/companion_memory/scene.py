"""A prompt for the sampler, of a scene line, what is worn and what is remembered: scene and composition, no names.

What is remembered adds where, when and in which weather, unless the scene line says so itself. Only such words are
taken, each from a short list, so that nothing else that was ever said can end in a prompt.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from .views import Memory, Worn

__all__ = ["COMPOSITIONS", "Scene", "details", "scene_from_memory", "without_names"]

COMPOSITIONS: dict[str, str] = {
    "as the scene says": "",
    "full body": "full body",
    "cowboy shot": "cowboy shot, from the knees up",
    "upper body": "upper body",
    "portrait": "close-up portrait",
}

_PLACES = (
    "beach|pier|harbour|harbor|lake|river|sea|shore|boat|island|park|garden|forest|woods|meadow|field|mountain|mountains|"
    "hill|valley|desert|street|city|town|village|square|market|bridge|station|train|bus|airport|car|road|rooftop|roof|"
    "balcony|terrace|porch|kitchen|bedroom|bathroom|living room|hall|hallway|stairs|attic|cellar|library|bookshop|shop|"
    "cafe|café|bar|pub|restaurant|bakery|office|studio|workshop|school|classroom|museum|gallery|theatre|theater|cinema|"
    "church|castle|hotel|hospital|gym|pool|stadium|farm|barn|greenhouse|tent|campsite|fireplace|window"
)
_TIMES = "sunrise|dawn|morning|noon|afternoon|sunset|dusk|evening|night|midnight"
_WEATHERS = "rain|raining|snow|snowing|fog|mist|storm|thunderstorm|wind|sunshine|clouds|overcast"
_AS_WEATHER = {"raining": "rain", "snowing": "snow", "clouds": "overcast"}
_PLACE = re.compile(rf"\b(on|at|in|by|near|under|along) (?:the|a|an|my|our|your|his|her) ({_PLACES})\b", re.IGNORECASE)
_ANY_PLACE = re.compile(rf"\b({_PLACES})\b", re.IGNORECASE)
_TIME = re.compile(rf"\b({_TIMES})\b", re.IGNORECASE)
_WEATHER = re.compile(rf"\b({_WEATHERS})\b", re.IGNORECASE)


@dataclass(frozen=True)
class Scene:
    """`tokens` of CLIP's, without the two that begin and end every prompt. `left_out`: parts there was no room for."""

    prompt: str
    tokens: int
    left_out: tuple[str, ...] = ()


def scene_from_memory(
    scene: str,
    *,
    count: Callable[[str], int],
    most: int,
    composition: str = "",
    worn: Worn | None = None,
    memory: Memory | None = None,
    names: Sequence[str] = (),
) -> Scene:
    """The prompt, at most `most` tokens by `count`. What matters most stands first and is kept longest.

    Args:
        scene: an artist's own words.
        names: of the character, beside those that the memory knows; none of them is in the prompt.
    """
    banned = (*names, *(memory.names if memory else ()))
    parts = [part for part in (composition, *_split(without_names(scene, banned))) if part]
    if worn is not None:
        hint = without_names(worn.prompt_hint or worn.title, banned)
        parts.insert(1 if composition else 0, f"wearing {hint}") if hint else None
    if memory is not None:
        parts += details((*memory.remembered, *memory.recent), scene)
    kept: list[str] = []
    left_out: list[str] = []
    for part in dict.fromkeys(parts):
        fits = count(", ".join((*kept, part))) <= most
        (kept if fits else left_out).append(part)
    prompt = ", ".join(kept)
    return Scene(prompt, count(prompt) if prompt else 0, tuple(left_out))


def details(texts: Iterable[str], scene: str = "") -> list[str]:
    """Place, time and weather that these texts tell of, the later text winning; none that the scene has of its own."""
    place = time = weather = ""
    for text in texts:
        if found := _last(_PLACE, text):
            place = f"{found[1].lower()} {_article(found[2].lower())} {found[2].lower()}"
        if found := _last(_TIME, text):
            time = found[1].lower()
        if found := _last(_WEATHER, text):
            weather = _AS_WEATHER.get(found[1].lower(), found[1].lower())
    return [
        found
        for found, own in ((place, _ANY_PLACE), (time, _TIME), (weather, _WEATHER))
        if found and not own.search(scene)
    ]


def without_names(text: str, names: Iterable[str]) -> str:
    """`text` without these names, whole and word by word, in any case, and without what they leave behind."""
    words = {word for name in names for word in (name, *name.split()) if len(word) > 1}
    for word in sorted(words, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(word)}(?:'s|’s)?(?!\w)", "", text, flags=re.IGNORECASE)
    text = re.sub(r"\s+([,.;:!?])", r"\1", re.sub(r"\s+", " ", text))
    return re.sub(r"(?:,\s*)+,", ",", text).strip(" ,")


def _split(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"[,\n]+", text) if part.strip()]


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    found = None
    for found in pattern.finditer(text):  # noqa: B007 - the last one is wanted
        pass
    return found


def _article(noun: str) -> str:
    if noun in ("stairs", "woods", "mountains"):
        return "the"
    return "an" if noun[0] in "aeiou" else "a"
