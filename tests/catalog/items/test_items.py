"""Items: who sees which, who changes them, and that a change is never half of one."""

import asyncio

import pytest

from server.catalog.items import limits
from server.catalog.items.drafts import ItemChanges, ItemDraft
from server.catalog.items.inventory import Inventory
from server.catalog.items.items import Items
from server.catalog.items.model import Item
from server.catalog.records import Viewer
from server.errors import Conflict, Forbidden, InvalidRequest, NotFound, TooLarge, Unavailable, VestigeError
from server.stores.redis import RedisPair
from tests.catalog.items.conftest import ADMIN, ANNA, BEN, BLUE, KEEPER, RED, Make, Pictures


async def test_what_is_made_is_what_is_read(items: Items, make: Make) -> None:
    price = {"amount": "12.50", "currency": "EUR", "tiers": [1, 2.5, None, True]}
    made = await make("Red \u202ecoat\n", category="coats", prompt_hint="red  wool coat", reference=RED, price=price)
    assert (made.title, made.prompt_hint, made.price, made.public) == ("Red coat", "red wool coat", price, True)
    assert await items.get("home", made.id, BEN) == made
    assert await items.find("home", made.id) == made
    assert await items.titles("home", [made.id, "nothing", "../.."]) == {made.id: "Red coat"}


@pytest.mark.parametrize(
    ("viewer", "public", "hidden", "private"),
    [
        (ANNA, True, False, True),
        (BEN, True, False, False),
        (KEEPER, True, True, False),
        (ADMIN, True, True, True),
        (Viewer(None), True, False, False),
    ],
)
async def test_who_sees_what(
    items: Items, make: Make, viewer: Viewer, public: bool, hidden: bool, private: bool
) -> None:
    made = {
        await make(): public,
        await make(public=False): hidden,
        await make(owner="anna"): private,
        await make(tenant="acme"): False,
    }
    for item, seen in made.items():
        if seen:
            assert await items.get("home", item.id, viewer) == item
        else:
            with pytest.raises(NotFound):
                await items.get("home", item.id, viewer)


async def test_what_one_was_granted_is_seen_though_the_shop_hides_it(
    items: Items, inventory: Inventory, make: Make
) -> None:
    hidden = await make(public=False)
    await inventory.grant("home", "ben", hidden)
    assert await items.get("home", hidden.id, BEN) == hidden
    with pytest.raises(NotFound):
        await items.get("home", hidden.id, ANNA)


async def test_lists_go_on_where_the_page_ended_whatever_was_deleted_meanwhile(items: Items, make: Make) -> None:
    made = [await make(f"Coat {number}", category="coats" if number % 2 else "hats") for number in range(7)]
    await make("Anna's", owner="anna")
    first = await items.list("home", BEN, limit=3)
    assert [item.title for item in first.items] == ["Coat 6", "Coat 5", "Coat 4"]
    await items.delete("home", made[4].id, KEEPER)
    await items.delete("home", made[2].id, KEEPER)
    second = await items.list("home", BEN, limit=3, after=first.next)
    assert ([item.title for item in second.items], second.next) == (["Coat 3", "Coat 1", "Coat 0"], None)
    assert [item.title for item in (await items.list("home", BEN, category="hats")).items] == ["Coat 6", "Coat 0"]
    assert [item.title for item in (await items.list("home", ANNA, mine=True)).items] == ["Anna's"]
    assert list((await items.list("home", KEEPER, mine=True)).items) == []
    with pytest.raises(InvalidRequest):
        await items.list("home", BEN, after="nowhere")
    with pytest.raises(Forbidden):
        await items.list("home", BEN, hidden=True)


async def test_a_change_moves_an_item_between_shelves(items: Items, make: Make) -> None:
    item = await make(category="coats")
    changed = await items.update("home", item.id, ItemChanges(category="hats", public=False), KEEPER)
    assert (changed.category, changed.public, changed.title) == ("hats", False, "Red coat")
    assert changed.etag != item.etag
    for category in (None, "coats", "hats"):
        assert list((await items.list("home", BEN, category=category)).items) == []
    assert [each.id for each in (await items.list("home", KEEPER, hidden=True)).items] == [item.id]
    await items.update("home", item.id, ItemChanges(public=True), KEEPER, if_match=f'"{changed.etag}"')
    assert [each.id for each in (await items.list("home", BEN, category="hats")).items] == [item.id]


async def test_who_changes_what(items: Items, make: Make) -> None:
    shop, own = await make(), await make(owner="anna")
    for viewer, item, error in [(BEN, shop, Forbidden), (BEN, own, NotFound), (KEEPER, own, NotFound)]:
        with pytest.raises(error):
            await items.update("home", item.id, ItemChanges(title="Mine now"), viewer)
        with pytest.raises(error):
            await items.delete("home", item.id, viewer)
    for viewer, item in [(KEEPER, shop), (ADMIN, shop), (ANNA, own), (ADMIN, own)]:
        assert (await items.update("home", item.id, ItemChanges(title="Changed"), viewer)).title == "Changed"
    with pytest.raises(InvalidRequest):
        await items.update("home", own.id, ItemChanges(public=True), ANNA)


async def test_a_stale_etag_changes_nothing(items: Items, make: Make) -> None:
    item = await make()
    await items.update("home", item.id, ItemChanges(title="First"), KEEPER, if_match=item.etag)
    with pytest.raises(Conflict):
        await items.update("home", item.id, ItemChanges(title="Second"), KEEPER, if_match=item.etag)
    with pytest.raises(Conflict):
        await items.delete("home", item.id, KEEPER, if_match=item.etag)
    assert (await items.get("home", item.id, BEN)).title == "First"


async def test_changes_at_once_all_count(items: Items, make: Make) -> None:
    item = await make()
    changes = [ItemChanges(title="New title"), ItemChanges(category="hats"), ItemChanges(prompt_hint="a hat")]
    await asyncio.gather(*(items.update("home", item.id, change, KEEPER) for change in changes))
    found = await items.get("home", item.id, BEN)
    assert (found.title, found.category, found.prompt_hint) == ("New title", "hats", "a hat")


async def test_an_id_never_comes_back(items: Items, make: Make) -> None:
    assert (await make(id="red-coat")).id == "red-coat"
    with pytest.raises(Conflict, match="already"):
        await make(id="red-coat")
    await items.delete("home", "red-coat", KEEPER)
    with pytest.raises(Conflict, match="never come back"):
        await make(id="red-coat")
    assert (await make(id="red-coat", tenant="acme")).id == "red-coat"


async def test_a_picture_is_for_those_who_brought_it(items: Items, make: Make, pictures: Pictures) -> None:
    own = await make(owner="anna", reference=BLUE)
    for owner, reference in [("ben", BLUE), (None, BLUE), ("ben", "c" * 64)]:
        with pytest.raises(InvalidRequest) as refused:
            await make(owner=owner, reference=reference)
        assert refused.value.details["field"] == "reference"
    draft = ItemDraft(title="Blue coat", reference=BLUE)
    assert (await items.create("home", draft, ADMIN)).reference == BLUE
    with pytest.raises(Forbidden):
        await items.create("home", ItemDraft(title="Coat"), ANNA)
    pictures.brought.clear()  # it stays good where it is
    assert (await items.update("home", own.id, ItemChanges(title="Again", reference=BLUE), ANNA)).reference == BLUE


async def test_references_are_known_for_as_long_as_something_shows_them(items: Items, make: Make) -> None:
    first, second = await make(reference=RED), await make(owner="anna", reference=RED)
    assert await items.shown([RED, BLUE]) == {RED}
    await items.update("home", second.id, ItemChanges(reference=BLUE), ANNA)
    assert await items.shown([RED, BLUE]) == {RED, BLUE}
    await items.delete("home", first.id, KEEPER)
    await items.update("home", second.id, ItemChanges(reference=None), ANNA)
    assert await items.shown([RED, BLUE]) == set()


async def test_there_is_an_end_to_uploads(items: Items, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "OWN_ITEMS", 2)
    made = [await make(owner="anna") for _ in range(2)]
    with pytest.raises(TooLarge):
        await make(owner="anna")
    await make(owner="ben")
    await items.delete("home", made[0].id, ANNA)
    await make(owner="anna")


async def test_erasing_takes_what_is_theirs_and_nothing_else(items: Items, make: Make) -> None:
    await make(owner="anna", reference=BLUE)
    await make(owner="anna", reference=RED)
    shop, bens = await make(reference=RED), await make(owner="ben")
    assert await items.erase("home", "anna") == 2
    assert await items.shown([RED, BLUE]) == {RED}
    assert await items.own("home", "anna") == []
    assert await items.found("home", [shop.id, bens.id]) == {shop.id: shop, bens.id: bens}
    assert await items.erase("home", "anna") == 0


def deep(levels: int) -> dict[str, object]:
    return {"x": deep(levels - 1)} if levels else {}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": "\u200b\u200b"}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"category": "Coats"}, "category"),
        ({"category": "a" * 41}, "category"),
        ({"prompt_hint": "x" * 501}, "prompt_hint"),
        ({"reference": "A" * 64}, "reference"),
        ({"reference": "../../etc/passwd"}, "reference"),
        ({"price": {"x": "y" * 4_096}}, "price"),
        ({"price": {"x": 2**63}}, "price"),
        ({"price": {"x": float("nan")}}, "price"),
        ({"price": deep(9)}, "price"),
        ({"price": [1]}, "price"),
        ({"price": "12"}, "price"),
        ({"owner": "ben"}, "owner"),
        ({"etag": "x"}, "etag"),
    ],
)
def test_what_does_not_fit_is_named(fields: dict[str, object], field: str) -> None:
    with pytest.raises(ValueError) as refused:
        ItemDraft.model_validate({"title": "Coat", **fields})
    assert [error["loc"][0] for error in refused.value.errors()] == [field]  # type: ignore[attr-defined]


@pytest.mark.parametrize("fields", [{"private": True, "public": True}, {"private": True, "id": "x"}])
def test_what_contradicts_itself(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="private"):
        ItemDraft.model_validate({"title": "Coat", **fields})


async def test_an_id_that_is_none(items: Items, make: Make) -> None:
    for bad in ("../x", "a:b", "", "A", "x" * 65):
        with pytest.raises(VestigeError):
            await make(id=bad)
        with pytest.raises(NotFound):
            await items.get("home", bad, ADMIN)


async def test_uploads_that_come_and_go_leave_nothing_behind(items: Items, make: Make, redis_pair: RedisPair) -> None:
    for _ in range(3):
        own = await make(owner="anna", reference=RED)
        await items.delete("home", own.id, ANNA)
    assert await redis_pair.state.keys("*") == []


async def test_who_follows_items_hears_of_each_and_may_fail(items: Items, make: Make) -> None:
    heard: list[tuple[str, str]] = []

    async def fails(tenant: str, item: Item) -> None:
        raise Unavailable("Not now.")

    async def hears(tenant: str, item: Item) -> None:
        heard.append((tenant, item.title))

    items.on_put(fails)
    items.on_put(hears)
    made = await make()
    await items.update("home", made.id, ItemChanges(title="Blue coat"), KEEPER)
    await items.delete("home", made.id, KEEPER)
    assert heard == [("home", "Red coat"), ("home", "Blue coat")]
