"""JSON from strangers: bounded, unambiguous, and safe to write out again."""

import codecs
import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

from server.catalog.limits import CARD_BYTES, JSON_DEPTH
from server.catalog.text import no_surrogates
from server.errors import InvalidCard

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def parse_object(data: bytes, *, max_bytes: int = CARD_BYTES) -> dict[str, Any]:
    """The JSON object in `data` (UTF-8, or UTF-16 with a byte order mark).

    Lone surrogates become U+FFFD. Raw line breaks within strings are accepted: many tools write them.

    Raises:
        InvalidCard: too long, not text, not JSON, not an object, a key twice in one object, NaN or an infinity, or
            nested deeper than 40 levels.
    """
    if len(data) > max_bytes:
        raise InvalidCard(f"The card's JSON is too long: {len(data):,} bytes, where {max_bytes:,} are allowed.")
    try:
        text = data.decode("utf-16" if data.startswith(_UTF16) else "utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidCard("The card is not text in UTF-8: save it again as UTF-8 JSON.") from None
    try:
        value = json.loads(
            text, strict=False, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
        )
    except json.JSONDecodeError as error:
        raise InvalidCard(f"The card is not valid JSON: line {error.lineno}, column {error.colno}.") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError:  # a whole number of thousands of digits
        raise InvalidCard("The card has a number that is too long.") from None
    if not isinstance(value, dict):
        raise InvalidCard("The card must be a JSON object, {…}, with the character's fields in it.")
    return _scrubbed(value, 1)


def compact(document: Mapping[str, Any]) -> bytes:
    """`document` as UTF-8 JSON without white space."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def readable(document: Mapping[str, Any]) -> bytes:
    """`document` as indented UTF-8 JSON that ends with a line break."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=2).encode() + b"\n"


def _scrubbed(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return no_surrogates(value)
    if not isinstance(value, dict | list):
        return value
    if depth > JSON_DEPTH:
        raise _too_deep()
    if isinstance(value, dict):
        return {no_surrogates(key): _scrubbed(item, depth + 1) for key, item in value.items()}
    return [_scrubbed(item, depth + 1) for item in value]


def _too_deep() -> InvalidCard:
    return InvalidCard(f"The card's JSON is nested too deeply: more than {JSON_DEPTH} levels.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        named = f"the key “{twice}”" if twice.isidentifier() and len(twice) <= 40 else "a key"
        raise InvalidCard(f"The card has {named} twice in one object, so it is not clear which one counts.")
    return result


def _no_constant(name: str) -> NoReturn:
    raise InvalidCard(f"The card has {name} where JSON allows only a finite number.")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise InvalidCard("The card has a number that is too large.")
    return number
