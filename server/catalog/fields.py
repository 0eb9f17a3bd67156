"""What clients may send, in pieces: cleaned text, names of files, a price tag."""

import math
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from server.catalog.items import limits
from server.catalog.strict_json import compact
from server.catalog.text import clean_line, clean_text, is_visible, no_surrogates

_UNSAFE_PATH = re.compile(r"(^|[/\\])\.{1,2}([/\\]|$)|^[/\\]|:")


def _line(value: object) -> object:
    return clean_line(value) if isinstance(value, str) else value


def _text(value: object) -> object:
    return clean_text(value).strip() if isinstance(value, str) else value


def _visible(value: str) -> str:
    if not is_visible(value):
        raise PydanticCustomError("not_visible", "must have something in it that shows")
    return value


def _file(value: str) -> str:
    if _UNSAFE_PATH.search(value):
        raise PydanticCustomError("file_name", "must be a file as ComfyUI lists it, such as sdxl/base.safetensors")
    return _visible(value)


def _price(value: dict[str, Any]) -> dict[str, Any]:
    """Raises:
    PydanticCustomError: it is nested too deep, has a number JSON does not have, or is too long.
    """
    value = _plain(value, 1)
    size = len(compact(value))
    if size > limits.PRICE_BYTES:
        raise PydanticCustomError(
            "price_size",
            "is too long: {size} bytes of JSON, where {most} are allowed",
            {"size": size, "most": limits.PRICE_BYTES},
        )
    return value


def _plain(value: Any, depth: int) -> Any:
    if depth > limits.PRICE_DEPTH:
        raise PydanticCustomError("price_depth", "is nested deeper than {most} levels", {"most": limits.PRICE_DEPTH})
    if isinstance(value, str):
        return no_surrogates(value)
    if isinstance(value, dict):
        return {no_surrogates(str(key)): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, int) and abs(value) >= 2**63:
        raise PydanticCustomError("price_number", "has a whole number of more than 63 bits: send it as text")
    if isinstance(value, float) and not math.isfinite(value):
        raise PydanticCustomError("price_number", "has a number that JSON does not have")
    return value


Title = Annotated[str, BeforeValidator(_line), Field(min_length=1, max_length=limits.TITLE), AfterValidator(_visible)]
Hint = Annotated[str, BeforeValidator(_line), Field(max_length=limits.HINT)]
Category = Annotated[str, Field(max_length=40, pattern=r"^[a-z0-9]([a-z0-9_-]*[a-z0-9])?$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Price = Annotated[dict[str, Any], AfterValidator(_price)]
Prose = Annotated[str, BeforeValidator(_text), Field(max_length=2_000)]
"""A prompt: text of several lines."""
FileName = Annotated[str, BeforeValidator(_line), Field(min_length=1, max_length=255), AfterValidator(_file)]
"""A model's file, as ComfyUI lists it: it may lie in a folder, and never leads out of it."""
