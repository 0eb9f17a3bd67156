"""Money in whole numbers, and prices that can be believed."""

import pytest

from server.routing.catalogue import Listed, find, read_models
from server.routing.prices import FREE, BadPrice, Price, dollars, read_price
from server.routing.types import PromptMessage, Usage


@pytest.mark.parametrize(
    ("pricing", "price"),
    [
        ({"prompt": "0.000003", "completion": "0.000015"}, Price(3_000_000, 15_000_000)),
        ({"prompt": "0", "completion": "0", "request": "0", "image": "0.02"}, FREE),
        ({"prompt": 0.000001, "completion": 0.000002, "request": "0.005"}, Price(1_000_000, 2_000_000, 5_000)),
        ({"prompt": "0.0000000001", "completion": ""}, Price(100, 0)),
        ({"prompt": "1e-13", "completion": "0"}, Price(1, 0)),  # never rounded down to nothing
        ({"prompt": "0", "completion": "0.000001", "internal_reasoning": "0.000004"}, Price(0, 4_000_000)),
    ],
)
def test_prices_as_they_are_listed(pricing: object, price: Price) -> None:
    assert read_price(pricing) == price


@pytest.mark.parametrize(
    "pricing",
    [
        None,
        "0.1",
        [],
        {"prompt": "-1", "completion": "-1"},
        {"prompt": "0.01", "completion": "0"},
        {"prompt": "0", "completion": "1"},
        {"prompt": "0", "completion": "0", "request": "11"},
        {"prompt": "NaN"},
        {"prompt": "Infinity"},
        {"prompt": "1e999999"},
        {"prompt": "free"},
        {"prompt": True},
        {"prompt": None},
        {"prompt": {"usd": 1}},
    ],
)
def test_prices_that_are_refused(pricing: object) -> None:
    with pytest.raises(BadPrice):
        read_price(pricing)


def test_what_usage_costs_is_rounded_up() -> None:
    price = dollars(3, 15, 0.001)
    assert price.cost(Usage(1_000, 100)) == 3_000 + 1_500 + 1_000
    assert dollars(0.1, 0.1).cost(Usage(1, 0)) == 1
    assert FREE.cost(Usage(10**9, 10**9)) == 0


def test_the_most_a_request_can_cost_counts_every_byte_as_a_token() -> None:
    messages = [PromptMessage("user", "żółć")]
    assert dollars(1, 2).most(messages, 100) == (8 + 16) * 1 + 100 * 2
    assert dollars(0, 0, 0.5).most(messages, 100) == 500_000


def test_a_cap_bounds_each_part() -> None:
    cap = dollars(1, 2, 0.1)
    assert dollars(1, 2, 0.1).within(cap)
    for above in (dollars(1.1, 0), dollars(0, 2.1), dollars(0, 0, 0.2)):
        assert not above.within(cap)


def test_a_list_of_models() -> None:
    listing = read_models(
        {
            "data": [
                {"id": "a/free", "pricing": {"prompt": "0", "completion": "0"}, "context_length": 8_000},
                {"id": "a/router", "pricing": {"prompt": "-1", "completion": "-1"}},
                {"id": "a/ends", "expiration_date": "2026-12-01", "pricing": {}},
                {"id": "a/ended", "expiration_date": "2026-01-01T00:00:00Z"},
                {"id": "a/stamp", "expiration_date": 1_800_000_000, "context_length": -5},
                {"id": "a/odd", "expiration_date": "soon"},
                {"id": ""},
                {"name": "nameless"},
                "text",
                None,
            ]
        }
    )
    assert list(listing) == ["a/free", "a/router", "a/ends", "a/ended", "a/stamp", "a/odd"]
    assert listing["a/free"] == Listed("a/free", FREE, context_tokens=8_000)
    assert listing["a/router"].price is None
    assert "negative" in (listing["a/router"].bad_price or "")
    assert str(listing["a/ends"].expires) == "2026-12-01"
    assert str(listing["a/ended"].expires) == "2026-01-01"
    assert str(listing["a/stamp"].expires) == "2027-01-15"
    assert listing["a/stamp"].context_tokens is None
    assert listing["a/odd"].expires is None


@pytest.mark.parametrize("body", [None, [], {}, {"data": {}}, {"data": None}, "x", 5])
def test_what_is_no_list_is_an_empty_one(body: object) -> None:
    assert read_models(body) == {}


def test_a_way_to_route_a_model_has_its_price() -> None:
    listing = read_models({"data": [{"id": "a/m"}, {"id": "a/m:free"}]})
    for id, found in (("a/m", "a/m"), ("a/m:nitro", "a/m"), ("a/m:free", "a/m:free")):
        listed = find(listing, id)
        assert listed is not None
        assert listed.id == found
    assert find(listing, "a/m:beta") is None
    assert find(listing, "a/other") is None
