"""Card files, in and out: JSON, PNG and CHARX."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from server.catalog import charx, pictures, png, strict_json
from server.catalog.cards import SPEC_VERSION, Card
from server.catalog.limits import FILE_BYTES
from server.catalog.lore import pattern_entries
from server.errors import InvalidCard, InvalidRequest, TooLarge

_RASTER = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF")
_OTHER_PICTURES = {b"\xff\xd8\xff": "JPEG", b"RIFF": "WebP", b"GIF8": "GIF"}
_EMBEDDED = ("embeded://", "embedded://")  # the specification's spelling, and the dictionary's


@dataclass(frozen=True, slots=True)
class ReadCard:
    """What a card file held. `portrait` is WebP; `notices` are sentences about what could not be kept or used."""

    card: Card
    portrait: bytes | None
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CardFile:
    """A card to download."""

    content: bytes
    content_type: str
    filename: str


def read_card(data: bytes) -> ReadCard:
    """The character in a card file; the kind of file is known by its first bytes, never by its name.

    Raises:
        TooLarge: more than 10 MB.
        InvalidCard: anything that is not a character card, in one sentence.
    """
    if len(data) > FILE_BYTES:
        raise TooLarge(f"The card is too large: {FILE_BYTES // 2**20} MB are allowed.", limit=FILE_BYTES)
    if not data.strip():
        raise InvalidCard("The card file is empty.")
    if data.startswith(png.SIGNATURE):
        return _from_png(data)
    if data.startswith(charx.SIGNATURE):
        return _from_charx(data)
    for signature, name in _OTHER_PICTURES.items():
        if data.startswith(signature):
            raise InvalidCard(f"A {name} picture holds no character card: use the PNG or JSON of the character.")
    document = strict_json.parse_object(data)
    card = Card.read(document)
    return ReadCard(card, _icon(card, lambda _: None), _notices(card, document))


def write_card(card: Card, portrait: bytes | None, kind: Literal["json", "png"], stem: str) -> CardFile:
    """The card as a file: JSON (v3), or PNG with a v3 chunk and a v2 chunk for older programs.

    The PNG's picture is `portrait` (WebP) without any metadata, or a plain one where there is none.
    """
    if kind == "json":
        return CardFile(strict_json.readable(card.document), "application/json", f"{stem}.json")
    picture = pictures.png_of(portrait) if portrait else pictures.blank_png(card.name)
    texts = {"chara": _base64(card.as_v2()), "ccv3": _base64(card.document)}
    return CardFile(png.with_texts(picture, texts), "image/png", f"{stem}.png")


def _from_png(data: bytes) -> ReadCard:
    chunks = png.read_chunks(data)
    text = png.read_text(chunks, "ccv3") or png.read_text(chunks, "chara")
    if text is None:
        raise InvalidCard("The PNG has no character card in it: it is a plain picture, or a site removed the card.")
    document = strict_json.parse_object(_unbase64(text))
    card = Card.read(document)
    lost = png.count_texts(chunks, "chara-ext-asset_")
    return ReadCard(card, _portrait(png.picture_only(chunks)), _notices(card, document, lost))


def _from_charx(data: bytes) -> ReadCard:
    archive = charx.open_charx(data)
    document = strict_json.parse_object(archive.card())
    card = Card.read(document)
    icon = _icon(card, archive.asset)
    return ReadCard(card, icon, _notices(card, document, archive.others(1 if icon else 0)))


def _icon(card: Card, embedded: Callable[[str], bytes | None]) -> bytes | None:
    """The portrait that the card's assets name, from the file itself; nothing is ever fetched from an address."""
    assets = card.data.get("assets")
    if not isinstance(assets, list):
        return None
    icons = [it for it in assets if isinstance(it, dict) and it.get("type") == "icon"]
    icons.sort(key=lambda it: it.get("name") != "main")
    for icon in icons:
        data = _asset(icon.get("uri"), embedded)
        if data and data.startswith(_RASTER):  # an AVIF or an animation is allowed there, but not for us
            return _portrait(data)
    return None


def _asset(uri: object, embedded: Callable[[str], bytes | None]) -> bytes | None:
    if not isinstance(uri, str):
        return None
    for scheme in _EMBEDDED:
        if uri.startswith(scheme):
            return embedded(uri.removeprefix(scheme))
    if uri.startswith("data:") and ";base64," in uri[:100]:
        return _unbase64(uri.partition(";base64,")[2].encode())
    return None


def _portrait(picture: bytes) -> bytes:
    try:
        return pictures.portrait(picture)
    except InvalidRequest as error:
        raise InvalidCard(error.message) from None


def _notices(card: Card, document: dict[str, Any], lost: int = 0) -> tuple[str, ...]:
    notices = []
    if _version(document) > float(SPEC_VERSION):
        notices.append("The card was made for a newer version of the format; what is new in it is kept, not used.")
    if lost > 0:
        notices.append(f"{lost} more {'file' if lost == 1 else 'files'} in the card beside its picture: not kept.")
    if patterns := pattern_entries(card):
        entries = "entry has" if patterns == 1 else "entries have"
        notices.append(
            f"{patterns} lorebook {entries} patterns for keys: kept, but patterns from cards never run here."
        )
    return tuple(notices)


def _version(document: dict[str, Any]) -> float:
    try:
        return float(document.get("spec_version", SPEC_VERSION))
    except (TypeError, ValueError, OverflowError):
        return float(SPEC_VERSION)


def _base64(document: dict[str, Any]) -> str:
    return base64.b64encode(strict_json.compact(document)).decode()


def _unbase64(text: bytes) -> bytes:
    """The bytes behind base64 with or without white space, padding and the URL alphabet; JSON as it is."""
    if text.lstrip().startswith(b"{"):
        return text
    text = b"".join(text.split()).rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidCard("The card's data is damaged: it is not base64. Download or export it again.") from None
