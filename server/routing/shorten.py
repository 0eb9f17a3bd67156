"""A prompt made shorter, for the model whose tokens are not the ones that plans count."""

from collections.abc import Sequence
from dataclasses import replace

from server.routing.types import PromptMessage


def shorten(messages: Sequence[PromptMessage], share: float) -> list[PromptMessage]:
    """About `share` of the text: the oldest turns go first; if the rest is still too long, each loses its middle.

    System messages and the last message stay.
    """
    kept = list(messages)
    room = int(share * sum(len(message.content) for message in kept))
    total = sum(len(message.content) for message in kept)
    while total > room:
        oldest = next((i for i, message in enumerate(kept[:-1]) if message.role != "system"), None)
        if oldest is None:
            break
        total -= len(kept.pop(oldest).content)
    if total <= room:
        return kept
    return [replace(message, content=_without_middle(message.content, room / total)) for message in kept]


def _without_middle(text: str, share: float) -> str:
    half = max(1, int(len(text) * share) // 2)
    return text if 2 * half + 3 >= len(text) else f"{text[:half]}\n…\n{text[-half:]}"
