"""Two servers over one folder of characters, as on a shared disk."""

import asyncio
from pathlib import Path

from server.catalog.models import CharacterChanges, CharacterDraft
from server.catalog.records import Viewer
from server.catalog.store import CharacterStore
from server.errors import Conflict
from tests.catalog.cardfiles import json_card, v3

ADMIN = Viewer("owner", admin=True)


async def test_the_same_name_at_once_is_two_characters(tmp_path: Path) -> None:
    stores = [CharacterStore(tmp_path) for _ in range(2)]
    made = await asyncio.gather(*(stores[at % 2].create("home", CharacterDraft(name="Mira"), None) for at in range(12)))
    assert len({record.id for record in made}) == 12
    for store in stores:
        listed = await store.list("home", ADMIN)
        assert {record.id for record in made} <= {record.id for record in listed}
        assert not any(record.damaged for record in listed)


async def test_the_samples_of_a_new_tenant_are_there_once(tmp_path: Path) -> None:
    stores = [CharacterStore(tmp_path) for _ in range(4)]
    lists = await asyncio.gather(*(store.list("shop", ADMIN) for store in stores))
    assert len({tuple(record.id for record in found) for found in lists}) == 1
    assert len(lists[0]) == 2


async def test_a_card_that_somebody_put_there_is_taken_in_once(tmp_path: Path) -> None:
    stores = [CharacterStore(tmp_path) for _ in range(4)]
    await stores[0].list("home", ADMIN)
    (tmp_path / "home" / "iris.json").write_bytes(json_card(v3(name="Iris", description="Tall.")))
    await asyncio.gather(*(store.list("home", ADMIN) for store in stores))
    names = [record.card.name for record in await stores[1].list("home", ADMIN)]
    assert names.count("Iris") == 1


async def test_a_change_by_one_is_seen_by_the_other_and_two_at_once_do_not_mix(tmp_path: Path) -> None:
    one, other = CharacterStore(tmp_path), CharacterStore(tmp_path)
    mira = await one.create("home", CharacterDraft(name="Mira"), None)
    seen = await other.get("home", mira.id, ADMIN)

    async def change(store: CharacterStore, text: str) -> bool:
        try:
            await store.update("home", mira.id, CharacterChanges(description=text), ADMIN, seen.etag)
        except Conflict:
            return False
        return True

    assert sorted(await asyncio.gather(change(one, "tall"), change(other, "small"))) == [False, True]
    assert (await one.get("home", mira.id, ADMIN)).etag == (await other.get("home", mira.id, ADMIN)).etag


async def test_one_that_is_removed_by_one_is_gone_for_the_other(tmp_path: Path) -> None:
    one, other = CharacterStore(tmp_path), CharacterStore(tmp_path)
    mira = await one.create("home", CharacterDraft(name="Mira"), None)
    await other.delete("home", mira.id, ADMIN)
    assert mira.id not in [record.id for record in await one.list("home", ADMIN)]
    again = await one.create("home", CharacterDraft(name="Mira"), None)
    assert again.id != mira.id
