"""How many of CLIP's tokens a prompt is. Imported only inside ComfyUI, whose tokenizer counts."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from comfy.sd1_clip import SDTokenizer

__all__ = ["count_tokens"]

_START, _END = 49406, 49407


def count_tokens(prompt: str) -> int:
    """Tokens of CLIP ViT-L, which Stable Diffusion 1.5 and SDXL read prompts by, without the first and the last one.

    SDXL's other text encoder splits text in the same way.
    """
    pieces: Any = _tokenizer().tokenize_with_weights(prompt)
    return sum(_said(piece) for piece in pieces)


def _said(piece: list[tuple[Any, float]]) -> int:
    """Tokens of one piece of 77 before its end; what follows the end only fills it."""
    said = 0
    for token, *_ in piece:
        if token == _END:
            break
        said += token != _START
    return said


@lru_cache(1)
def _tokenizer() -> SDTokenizer:
    return SDTokenizer()
