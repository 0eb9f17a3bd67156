"""Card files in and out, checked against files built and taken apart by hand."""

import base64
import io
import json

import pytest
from PIL import Image

from server.catalog.cards import Card
from server.catalog.reading import read_card, write_card
from server.catalog.strict_json import compact
from server.errors import InvalidCard
from tests.catalog.cardfiles import (
    charx,
    chunk,
    decoded,
    encoded,
    itext,
    json_card,
    png,
    png_card,
    text,
    texts_of,
    v1,
    v2,
    v3,
    ztext,
)


def test_ccv3_wins_over_chara_wherever_it_stands() -> None:
    old, new = text("chara", encoded(v2(name="Old"))), text("ccv3", encoded(v3(name="New")))
    for extra in ([old, new], [new, old]):
        assert read_card(png(*extra)).card.name == "New"


@pytest.mark.parametrize(
    "extra",
    [
        text("Chara", encoded(v1())),
        text("chara", base64.encodebytes(compact(v1()))),
        text("chara", b" \r\n" + encoded(v1()).rstrip(b"=") + b"\n"),
        text("chara", base64.urlsafe_b64encode(json.dumps(v1(description="ÿ?>~ÿ" * 9), ensure_ascii=False).encode())),
        text("chara", compact(v1(description="two  spaces")).replace(b'"name"', b'\n "name"')),
        ztext("chara", encoded(v1())),
        itext("chara", encoded(v1()), compressed=True),
        itext("chara", encoded(v1()), compressed=False),
    ],
    ids=["capital", "lines", "no padding", "url alphabet", "plain json", "zTXt", "iTXt packed", "iTXt"],
)
def test_cards_are_found_however_the_picture_carries_them(extra: bytes) -> None:
    assert read_card(png(extra)).card.name == "Odile"


def test_text_in_every_alphabet_survives_a_png() -> None:
    card = read_card(png_card(v3(name="Ода 文 🦊", description="ñ–“”"), "ccv3")).card
    assert (card.name, card.description) == ("Ода 文 🦊", "ñ–“”")
    again = read_card(write_card(card, None, "png", "oda").content).card
    assert (again.name, again.description) == ("Ода 文 🦊", "ñ–“”")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_json_is_read_with_and_without_a_byte_order_mark(encoding: str) -> None:
    assert read_card(json.dumps(v2(name="Одиль"), ensure_ascii=False).encode(encoding)).card.name == "Одиль"


def test_raw_line_breaks_in_json_strings_are_read() -> None:
    assert read_card(b'{"name": "Odile", "description": "one\ntwo"}').card.description == "one\ntwo"


def test_an_exported_png_carries_both_versions_and_nothing_else_but_the_picture() -> None:
    private = text("Comment", b"made at 52.1N 4.3E") + chunk(b"tIME", bytes(7)) + text("parameters", b"1girl")
    read = read_card(png(private, text("chara", encoded(v2()))))
    out = write_card(read.card, read.portrait, "png", "odile")
    texts = texts_of(out.content)
    assert texts.keys() == {"chara", "ccv3"}
    assert decoded(texts["ccv3"])["spec"] == "chara_card_v3"
    chara = decoded(texts["chara"])
    assert (chara["spec"], chara["spec_version"], chara["data"]["name"]) == ("chara_card_v2", "2.0", "Odile")
    assert b"52.1N" not in out.content
    assert (out.content_type, out.filename) == ("image/png", "odile.png")
    with Image.open(io.BytesIO(out.content)) as picture:
        assert picture.size == (4, 6)
        red, green, blue = picture.convert("RGB").tobytes()[:3]
    assert red > 150 > 80 > green > 0 < blue < 80


@pytest.mark.parametrize("name", ["Odile", "Ода", "🦊"])
def test_a_character_without_a_portrait_exports_with_a_plain_one(name: str) -> None:
    out = write_card(Card.read(v3(name=name)), None, "png", "odile")
    with Image.open(io.BytesIO(out.content)) as picture:
        assert picture.size == (400, 600)
    assert read_card(out.content).card.name == name


def test_an_exported_json_is_the_v3_card() -> None:
    out = write_card(Card.read(v1(x_mine=[1, {"a": None}])), None, "json", "odile")
    document = json.loads(out.content)
    assert document["spec"] == "chara_card_v3"
    assert document["data"]["first_mes"] == "Mind the glue, {{user}}."
    assert document["x_mine"] == [1, {"a": None}]
    assert (out.content_type, out.filename) == ("application/json", "odile.json")


ICON = {"type": "icon", "name": "main", "ext": "png"}


@pytest.mark.parametrize("scheme", ["embeded://", "embedded://"])
def test_a_charx_gives_its_card_and_main_icon(scheme: str) -> None:
    assets = [ICON | {"uri": "embeded://assets/sad.png", "name": "sad"}, ICON | {"uri": f"{scheme}assets/main.png"}]
    red, blue = png(rgb=(255, 0, 0)), png(rgb=(0, 0, 255))
    members = {"assets/sad.png": red, "assets/main.png": blue, "card.json": json_card(v3(assets=assets))}
    read = read_card(charx(members))
    assert read.card.data["assets"] == assets
    assert read.portrait is not None
    with Image.open(io.BytesIO(read.portrait)) as picture:
        r, _, b = picture.convert("RGB").tobytes()[:3]
    assert b > 200 > 50 > r
    assert read.notices == ("1 more file in the card beside its picture: not kept.",)


def test_an_icon_within_the_json_is_used() -> None:
    uri = "data:image/png;base64," + base64.b64encode(png()).decode()
    assert read_card(json_card(v3(assets=[ICON | {"uri": uri}]))).portrait is not None


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/x.png",
        "file:///etc/passwd",
        "embeded://../../../etc/passwd",
        "embeded://card.json",
        None,
        7,
    ],
)
def test_an_icon_that_is_elsewhere_is_not_looked_for(uri: object) -> None:
    read = read_card(charx({"card.json": json_card(v3(assets=[ICON | {"uri": uri}]))}))
    assert read.card.name == "Odile"
    assert read.portrait is None


def test_what_cannot_be_used_is_said() -> None:
    book = {"entries": [{"keys": ["/a+/"], "content": "x", "use_regex": True}, {"keys": ["a"], "content": "y"}]}
    newer = v3(character_book=book) | {"spec_version": "3.7"}
    assert read_card(png(text("ccv3", encoded(newer)), text("chara-ext-asset_:1", b"eA=="))).notices == (
        "The card was made for a newer version of the format; what is new in it is kept, not used.",
        "1 more file in the card beside its picture: not kept.",
        "1 lorebook entry has patterns for keys: kept, but patterns from cards never run here.",
    )


def test_an_ordinary_picture_is_told_from_a_card() -> None:
    with pytest.raises(InvalidCard, match="no character card in it"):
        read_card(png())
