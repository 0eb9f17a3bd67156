"""Characters of a tenant: who sees them, who changes them, and what a change leaves alone."""

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from server.catalog.models import CharacterChanges, CharacterDraft
from server.catalog.records import CharacterRecord, Viewer
from server.catalog.store import CharacterStore
from server.errors import Conflict, Forbidden, InvalidCard, InvalidId, InvalidRequest, NotFound, TooLarge
from tests.catalog.cardfiles import decoded, json_card, png, png_card, texts_of, v3
from tests.catalog.conftest import Clock, files_under

T = "home"
ADA, BEN = Viewer("ada"), Viewer("ben")
ADMIN, SERVICE = Viewer("root", admin=True), Viewer(None)
SAMPLES = ["halina-wrobel", "wendell-sarpong"]


def draft(name: str = "Odile", **fields: Any) -> CharacterDraft:
    return CharacterDraft(name=name, **fields)


async def ids(store: CharacterStore, viewer: Viewer, tenant: str = T) -> list[str]:
    return [record.id for record in await store.list(tenant, viewer) if record.id not in SAMPLES]


async def ada_odile(store: CharacterStore, *, shared: bool = False, **fields: Any) -> CharacterRecord:
    return await store.create(T, draft(**fields), "ada", shared)


async def test_a_new_tenant_begins_with_the_samples_shared(store: CharacterStore) -> None:
    records = await store.list(T, ADA)
    assert [record.id for record in records] == SAMPLES
    assert all(record.shared and record.owner is None for record in records)
    assert not any(record.editable_by(ADA) for record in records)
    assert all(record.editable_by(ADMIN) for record in records)


async def test_a_deleted_sample_stays_deleted_after_a_restart(store: CharacterStore, folder: Path) -> None:
    await store.delete(T, SAMPLES[0], ADMIN)
    assert [record.id for record in await CharacterStore(folder).list(T, ADA)] == SAMPLES[1:]


async def test_a_character_is_created_and_read_back_after_a_restart(
    store: CharacterStore, folder: Path, clock: Clock
) -> None:
    made = await ada_odile(store, description="A bookbinder.", tags=["craft"], alternate_greetings=["You again."])
    read = await CharacterStore(folder).get(T, "odile", ADA)
    assert read == made
    assert (read.card.name, read.card.description, read.card.tags) == ("Odile", "A bookbinder.", ("craft",))
    assert (read.owner, read.shared, read.created, read.modified) == ("ada", False, clock.now, clock.now)
    assert read.mine(ADA)
    assert not read.mine(BEN)


@pytest.mark.parametrize(
    ("viewer", "shared", "sees", "edits"),
    [
        (ADA, False, True, True),
        (BEN, False, False, False),
        (SERVICE, False, False, False),
        (ADMIN, False, True, True),
        (ADA, True, True, True),
        (BEN, True, True, False),
        (SERVICE, True, True, False),
        (ADMIN, True, True, True),
    ],
)
async def test_who_sees_and_who_edits(
    store: CharacterStore, viewer: Viewer, shared: bool, sees: bool, edits: bool
) -> None:
    await ada_odile(store, shared=shared)
    assert ("odile" in await ids(store, viewer)) is sees
    refusal = Forbidden if sees else NotFound
    changes = CharacterChanges(scenario="A workshop.")
    if sees:
        assert (await store.get(T, "odile", viewer)).editable_by(viewer) is edits
        assert (await store.export_card(T, "odile", viewer, "json")).filename == "odile.json"
        assert (await store.duplicate(T, "odile", viewer)).owner == viewer.user
    else:
        for reading in (store.get(T, "odile", viewer), store.export_card(T, "odile", viewer, "png")):
            with pytest.raises(NotFound):
                await reading
        for reading in (store.duplicate(T, "odile", viewer), store.avatar(T, "odile", viewer)):
            with pytest.raises(NotFound):
                await reading
    if edits:
        await store.update(T, "odile", changes, viewer)
        await store.set_avatar(T, "odile", png(), viewer)
        await store.delete(T, "odile", viewer)
        return
    for writing in (
        store.update(T, "odile", changes, viewer),
        store.set_avatar(T, "odile", png(), viewer),
        store.delete(T, "odile", viewer),
    ):
        with pytest.raises(refusal):
            await writing
    assert (await store.get(T, "odile", ADA)).card.scenario == ""


async def test_tenants_see_nothing_of_each_other(store: CharacterStore) -> None:
    await ada_odile(store, shared=True)
    assert await ids(store, ADMIN, "elsewhere") == []
    with pytest.raises(NotFound):
        await store.get("elsewhere", "odile", ADMIN)


@pytest.mark.parametrize(
    "id", ["../odile", "a/b", "..", ".deleted", "", "Odile", "odi le", "odile\n", "🦊", "x" * 10_000]
)
async def test_what_is_no_id_never_becomes_a_path(store: CharacterStore, id: str) -> None:
    for call in (
        store.get(T, id, ADMIN),
        store.get(id, "odile", ADMIN),
        store.delete(T, id, ADMIN),
        store.update(T, id, CharacterChanges(), ADMIN),
        store.export_card(T, id, ADMIN, "json"),
        store.avatar(T, id, ADMIN),
        store.delete_owned(T, id),
    ):
        with pytest.raises(InvalidId):
            await call


async def test_only_the_fields_that_are_sent_change(store: CharacterStore, clock: Clock) -> None:
    made = await ada_odile(store, description="A bookbinder.", tags=["craft"])
    clock.forward(hours=1)
    changed = await store.update(T, "odile", CharacterChanges(description="", shared=True), ADA)
    assert (changed.card.name, changed.card.description, changed.card.tags) == ("Odile", "", ("craft",))
    assert (changed.shared, changed.owner) == (True, "ada")
    assert (changed.created, changed.modified) == (made.created, clock.now)
    assert changed.etag != made.etag
    assert changed == await store.get(T, "odile", ADA)


@pytest.mark.parametrize("form", ["{}", '"{}"', 'W/"{}"'])
async def test_a_change_on_a_stale_etag_is_a_conflict(store: CharacterStore, form: str) -> None:
    made = await ada_odile(store)
    await store.update(T, "odile", CharacterChanges(scenario="first"), ADA, form.format(made.etag))
    with pytest.raises(Conflict):
        await store.update(T, "odile", CharacterChanges(scenario="second"), ADA, form.format(made.etag))
    assert (await store.get(T, "odile", ADA)).card.scenario == "first"
    await store.update(T, "odile", CharacterChanges(scenario="third"), ADA, "*")


async def test_of_two_changes_at_once_on_one_etag_one_wins(store: CharacterStore) -> None:
    made = await ada_odile(store)
    outcomes = await asyncio.gather(
        *(store.update(T, "odile", CharacterChanges(scenario=f"{n}"), ADA, made.etag) for n in range(8)),
        return_exceptions=True,
    )
    won = [outcome for outcome in outcomes if isinstance(outcome, CharacterRecord)]
    assert len(won) == 1
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 7
    assert await store.get(T, "odile", ADA) == won[0]


async def test_changes_at_once_of_different_fields_all_count(store: CharacterStore) -> None:
    await ada_odile(store)
    fields = ["description", "personality", "scenario", "first_mes", "mes_example", "creator_notes"]
    await asyncio.gather(
        *(store.update(T, "odile", CharacterChanges.model_validate({key: key}), ADA) for key in fields)
    )
    card = (await store.get(T, "odile", ADA)).card
    assert [getattr(card, key) for key in fields] == fields


async def test_namesakes_created_at_once_get_ids_of_their_own(store: CharacterStore) -> None:
    made = await asyncio.gather(*(store.create(T, draft(description=f"{n}"), "ada") for n in range(12)))
    assert len({record.id for record in made}) == 12
    listed = {record.id: record.card.description for record in await store.list(T, ADA)}
    assert all(listed[record.id] == record.card.description for record in made)


async def test_the_id_of_a_deleted_character_is_never_given_out_again(store: CharacterStore, folder: Path) -> None:
    await ada_odile(store)
    await store.delete(T, "odile", ADA)
    assert (await CharacterStore(folder).create(T, draft(), "ben")).id == "odile-2"


async def test_a_copy_is_the_viewers_own_with_the_picture_and_every_key(store: CharacterStore) -> None:
    imported = await store.import_card(T, png_card(v3(extensions={"depth": 4})), "ada", shared=True)
    copy = await store.duplicate(T, imported.id, BEN)
    assert (copy.id, copy.owner, copy.shared) == ("odile-2", "ben", False)
    assert copy.card == imported.card
    assert copy.avatar == imported.avatar is not None


async def test_an_imported_card_comes_out_as_it_went_in_but_for_edits(store: CharacterStore) -> None:
    document = v3(extensions={"depth_prompt": {"depth": 4}}, x_data=[1]) | {"x_top": {"a": None}}
    made = await store.import_card(T, png_card(document, "ccv3"), "ada")
    await store.update(T, made.id, CharacterChanges(name="Odette"), ADA)
    from_json = json.loads((await store.export_card(T, made.id, ADA, "json")).content)
    from_png = decoded(texts_of((await store.export_card(T, made.id, ADA, "png")).content)["ccv3"])
    for out in (from_json, from_png):
        assert out["x_top"] == {"a": None}
        assert out["data"]["x_data"] == [1]
        assert out["data"]["extensions"] == {"depth_prompt": {"depth": 4}}
        assert out["data"]["name"] == "Odette"


async def test_an_export_says_nothing_of_owners(store: CharacterStore) -> None:
    await store.create(T, draft(), "canary-user")
    out = (await store.export_card(T, "odile", ADMIN, "json")).content.decode()
    chunks = texts_of((await store.export_card(T, "odile", ADMIN, "png")).content)
    for text in (out, *(json.dumps(decoded(chunk)) for chunk in chunks.values())):
        assert "canary-user" not in text
        assert "vestige" not in text


async def test_an_imported_card_cannot_bring_an_owner(store: CharacterStore) -> None:
    card = v3(extensions={"vestige": {"owner": "ben", "shared": True}})
    assert (await store.import_card(T, json_card(card), "ada")).owner == "ada"
    assert await ids(store, BEN) == []


async def test_an_import_says_what_it_could_not_keep(store: CharacterStore) -> None:
    made = await store.import_card(T, json_card(v3() | {"spec_version": "9.0"}), "ada")
    assert "newer version" in made.notices[0]
    with pytest.raises(InvalidCard):
        await store.import_card(T, b"{}", "ada")


async def test_a_picture_is_stored_served_and_taken_away(store: CharacterStore, folder: Path) -> None:
    made = await ada_odile(store)
    assert made.avatar is None
    with pytest.raises(NotFound, match="no picture"):
        await store.avatar(T, "odile", ADA)
    red = await store.set_avatar(T, "odile", png(rgb=(255, 0, 0)), ADA)
    assert red.etag != made.etag
    picture = await store.avatar(T, "odile", ADA)
    assert (picture.content_type, picture.etag) == ("image/webp", red.avatar)
    with Image.open(io.BytesIO(picture.content)) as image:
        assert (image.format, image.size) == ("WEBP", (4, 6))
    blue = await store.set_avatar(T, "odile", png(rgb=(0, 0, 255)), ADA)
    assert blue.avatar != red.avatar
    assert (await CharacterStore(folder).get(T, "odile", ADA)).avatar == blue.avatar
    assert (await store.set_avatar(T, "odile", None, ADA)).avatar is None


async def test_a_bad_picture_leaves_the_old_one(store: CharacterStore) -> None:
    await ada_odile(store)
    old = await store.set_avatar(T, "odile", png(), ADA)
    for bad in (b"<svg/>", png()[:-20], b""):
        with pytest.raises(InvalidRequest):
            await store.set_avatar(T, "odile", bad, ADA)
    assert await store.get(T, "odile", ADA) == old


async def test_a_character_of_more_than_a_megabyte_is_too_large(store: CharacterStore) -> None:
    greetings = ["x" * 99_000] * 11
    with pytest.raises(TooLarge):
        await ada_odile(store, alternate_greetings=greetings)
    await ada_odile(store)
    with pytest.raises(TooLarge):
        await store.update(T, "odile", CharacterChanges(alternate_greetings=greetings), ADA)
    assert await ids(store, ADA) == ["odile"]


async def test_a_card_that_indents_badly_is_still_stored_and_read(store: CharacterStore, folder: Path) -> None:
    deep: Any = [0] * 150_000
    for _ in range(30):
        deep = [deep]
    await store.import_card(T, json_card(v3(extensions={"deep": deep})), "ada")
    assert (await CharacterStore(folder).get(T, "odile", ADA)).card.extensions["deep"] == deep


async def test_a_persons_characters_are_exported_and_deleted_with_them(store: CharacterStore, folder: Path) -> None:
    await ada_odile(store, description="canary-text")
    await store.create(T, draft("Canary Name", description="canary-text"), "ada", True)
    await store.set_avatar(T, "odile", png(), ADA)
    await store.create(T, draft("Bodil"), "ben")
    assert [record.id for record in await store.owned(T, "ada")] == ["canary-name", "odile"]
    assert await store.delete_owned(T, "ada") == 2
    assert await ids(store, ADMIN) == ["bodil"]
    for path, content in files_under(folder).items():
        assert "canary" not in path
        assert b"canary" not in content.lower()
