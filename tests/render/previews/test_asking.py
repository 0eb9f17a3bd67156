"""Asking for previews over HTTP: who sees what, what is refused before anything is queued, how a shop page stands."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from server.catalog.items.model import Item
from server.catalog.records import Viewer
from server.render.previews.shelf import START_FRAMES
from tests.harness import Json, read_events, until
from tests.render.previews.studio import SCENE, Studio, studio_in

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def s(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Studio]:
    async with studio_in(tmp_path_factory.mktemp("asking") / "data") as made:
        yield made


async def test_twenty_asks_at_once_are_one_render(s: Studio) -> None:
    item, before = await s.item(), s.renders
    asked = await asyncio.gather(*(s.ask(item) for _ in range(20)))
    assert len({one["job"]["id"] for one in asked if one["job"]}) == 1
    await s.finished(asked[0])
    assert s.renders - before == 1


async def test_what_cannot_be_seen_is_refused_before_anything_is_queued(s: Studio) -> None:
    gift_card = await s.item(visual=False, reference=None)
    bare = await s.item(reference=None)
    before = await s.jobs.counts()
    refused = await s.ask(gift_card, status=422)
    assert refused["error"]["code"] == "not_visual"
    assert (await s.ask(bare, status=400))["error"]["code"] == "invalid_request"
    assert (await s.ask(None, status=404, character_id="nobody"))["error"]["code"] == "not_found"
    assert await s.jobs.counts() == before


async def test_a_character_alone_and_another_variant_are_pictures_of_their_own(s: Studio) -> None:
    item = await s.item()
    alone, dressed, other = await s.ask(None), await s.ask(item), await s.ask(item, variant=1)
    assert len({alone["key"], dressed["key"], other["key"]}) == 3
    for one in (alone, dressed, other):
        await s.finished(one)
    seeds = {graph["sampler"]["inputs"]["seed"] for graph in s.hosts[0].graphs.values()}
    assert {0, 1} <= seeds


async def test_words_are_ones_own_and_never_name_the_character(s: Studio) -> None:
    anna, ben = await s.server.as_user("anna"), await s.server.as_user("ben")
    item = await s.item(prompt_hint="a coat")
    asked = await s.ask(item, scene="MIRA on a  beach, Mira's hair wet", server=anna)
    assert asked["private"]
    await s.finished(asked)
    text = s.hosts[0].graphs[(await record(s, asked["key"]))["prompt_id"]]["positive"]["inputs"]["text"]
    assert "mira" not in text.lower() and "on a beach" in text and text.endswith("a coat")
    for path in ("", "/picture"):
        assert (await anna.ask("GET", f"/v1/previews/{asked['key']}{path}"))[0] == 200
        assert (await ben.ask("GET", f"/v1/previews/{asked['key']}{path}"))[0] == 404
    assert (await anna.ask("GET", f"/v1/previews/{asked['key']}/record"))[0] == 403
    assert (await ben.ask("GET", f"/v1/jobs/{asked['job']['id']}"))[0] == 404
    others = await s.ask(item, scene="on a beach, 's hair wet", server=ben)
    assert others["key"] != asked["key"]


async def record(s: Studio, key: str) -> Json:
    status, found = await s.server.ask("GET", f"/v1/previews/{key}/record")
    assert status == 200, found
    return found


async def test_a_private_item_is_its_owners(s: Studio) -> None:
    anna, ben = await s.server.as_user("anna"), await s.server.as_user("ben")
    item = await s.item(owner=anna.made["user"])
    await s.ask(item, status=404, server=ben)
    preview = await s.finished(await s.ask(item, server=anna))
    assert preview["private"]
    assert (await ben.ask("GET", preview["url"]))[0] == 404
    assert (await anna.ask("GET", preview["url"]))[0] == 200
    for who, keys in ((anna, [preview["key"]]), (ben, [])):
        status, page = await who.ask("GET", f"/v1/previews?character={s.character}")
        assert status == 200 and [one["key"] for one in page["previews"] if one["private"]] == keys


async def test_a_shop_page_stands_in_one_call(s: Studio) -> None:
    character = await s.server.character(name="Otis", shared=True)
    await s.look(character)
    items: list[Item] = [await s.item(category="hats") for _ in range(3)]
    await s.item(category="hats", visual=False)
    await s.finished(await s.ask(items[0], character_id=character))
    status, page = await s.server.ask("GET", f"/v1/previews?character={character}&category=hats")
    assert status == 200
    states = {one["item_id"]: one["state"] for one in page["previews"]}
    assert states == {items[0].id: "ready", items[1].id: "none", items[2].id: "none"}
    assert page["next"] is None


async def test_progress_frames_and_the_end_come_as_events_and_resume(s: Studio) -> None:
    s.hosts[0].pause, s.hosts[0].steps = 0.4, 4
    try:
        asked = await s.ask(await s.item())
        events = [event async for event in s.server.job_events(asked["job"]["id"])]
    finally:
        s.hosts[0].pause = 0.0
    names = [event.name for event in events]
    assert names[0] == "job" and names[-1] == "done" and "frame" in names
    shares = [event.data["job"]["share"] for event in events if event.name == "job"]
    assert shares == sorted(shares) and any(0 < share < 1 for share in shares)
    assert events[-1].data["preview"]["url"] == f"/v1/previews/{asked['key']}/picture"

    headers = s.server.headers({"Last-Event-ID": "1-0"})
    url = f"{s.server.url}/v1/jobs/{asked['job']['id']}/events"
    async with s.server.session.get(url, headers=headers) as response:
        again = [event async for event in read_events(response)]
    assert [event.name for event in again] == ["done"]


async def test_a_start_frame_has_the_size_that_is_wanted_and_its_provenance(s: Studio) -> None:
    preview = await s.finished(await s.ask(await s.item()))
    path = f"/v1/previews/{preview['key']}/start-frame"
    status, made = await s.server.ask("POST", path, json={"width": 512, "height": 256})
    assert status == 201 and made["record"]["key"] == preview["key"]
    status, picture = await s.server.ask("GET", made["url"])
    assert status == 200 and picture.startswith(b"\x89PNG")
    assert (await s.server.ask("POST", path, json={"width": 511, "height": 256}))[0] == 400
    widths = [256 + 8 * at for at in range(START_FRAMES + 2)]
    for width in widths:
        assert (await s.server.ask("POST", path, json={"width": width, "height": 256}))[0] == 201
    assert (await s.server.ask("GET", made["url"]))[0] == 404
    assert (await s.server.ask("GET", f"{path}/{widths[-1]}x256"))[0] == 200


async def test_how_it_stands_is_counted(s: Studio) -> None:
    await s.finished(await s.ask(await s.item()))
    await s.ask(None)
    wanted = ('previews_asked_total{outcome="made"}', "render_workers 1.0", "render_jobs_ended", "render_seconds")

    async def told() -> bool:  # what workers say of themselves is looked at now and then
        async with s.server.session.get(f"{s.server.url}/metrics", headers=s.server.headers()) as response:
            text = await response.text()
        return all(f"vestige_{name}" in text for name in wanted)

    await until(told)


async def test_an_export_has_the_private_pictures(s: Studio) -> None:
    dora = await s.server.as_user("dora")
    preview = await s.finished(await s.ask(await s.item(), scene="by the river", server=dora))
    status, exported = await dora.ask("GET", "/v1/memory/export")
    assert status == 200 and [one["key"] for one in exported["previews"]] == [preview["key"]]


async def test_streams_are_few_and_resume_from_ids_that_there_can_be(
    s: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.render.previews.previews.MOST_FOLLOWED", 1)
    s.hosts[0].pause, s.hosts[0].steps = 0.4, 4
    try:
        asked = await s.ask(await s.item())
        path = f"/v1/jobs/{asked['job']['id']}/events"
        headers = s.server.headers({"Last-Event-ID": f"{10**22}-0"})
        async with s.server.session.get(s.server.url + path, headers=headers) as response:
            assert response.status == 200
            status, refused = await s.server.ask("GET", path)
            assert (status, refused["error"]["code"]) == (429, "rate_limited")
            ben = await s.server.as_user("Ben", "catalog")
            async with ben.session.get(s.server.url + path, headers=ben.headers()) as other:
                assert other.status == 200
            events = [event async for event in read_events(response)]
    finally:
        s.hosts[0].pause = 0.0
    assert [events[0].name, events[-1].name] == ["job", "done"]
    assert (await s.server.ask("GET", path))[0] == 200


async def test_what_all_tenants_have_is_for_this_servers_own_admins(s: Studio) -> None:
    key = {"name": "theirs", "scopes": ["admin"], "tenant": "acme"}
    _, made = await s.server.ask("POST", "/v1/admin/keys", json=key)
    theirs = s.server.with_token(made["secret"])
    assert await theirs.ask("GET", "/v1/admin/jobs") == (200, {"jobs": [], "counts": {}})
    assert (await theirs.ask("POST", "/v1/admin/previews/collect"))[0] == 403
    assert (await s.server.ask("GET", f"/v1/previews?character={s.character}&category=a:b"))[0] == 400


async def test_a_look_that_changes_makes_other_pictures(s: Studio) -> None:
    character = await s.server.character(name="Vera", shared=True)
    await s.look(character)
    item = await s.item()
    first = await s.finished(await s.ask(item, character_id=character))
    await s.look(character, checkpoint="pony/halina-base.safetensors")
    second = await s.ask(item, character_id=character, status=202)
    assert second["key"] != first["key"]
    await s.finished(second)


async def test_pictures_are_made_ahead_and_counted_first(s: Studio) -> None:
    character = await s.server.character(name="Wanda", shared=True)
    await s.look(character, scene=SCENE.model_copy(update={"seed": 5}))
    before = s.renders
    status, told = await s.server.ask("POST", "/v1/admin/prerender?estimate=true", json={"character_id": character})
    assert status == 200 and told["plan"] is None and told["estimate"]["renders"] > 3
    assert told["estimate"]["seconds"] is not None and s.renders == before
    status, ordered = await s.server.ask("POST", "/v1/admin/prerender", json={"character_id": character})
    assert status == 202

    async def over() -> bool:
        _, found = await s.server.ask("GET", "/v1/admin/prerender")
        counts = (await s.server.ask("GET", "/v1/admin/jobs"))[1]["counts"]
        (plan,) = [one for one in found["plans"] if one["id"] == ordered["plan"]["id"]]
        return plan["state"] == "done" and not counts["waiting.prerender"] and not counts["running"]

    await until(over)
    assert s.renders - before == told["estimate"]["renders"]
    status, told = await s.server.ask("POST", "/v1/admin/prerender?estimate=true", json={"character_id": character})
    assert (told["estimate"]["renders"], told["estimate"]["ready"]) == (0, told["estimate"]["previews"])


async def test_what_nothing_points_to_is_collected_after_its_time(s: Studio) -> None:
    item = await s.item()
    kept, gone = await s.finished(await s.ask(None)), await s.finished(await s.ask(item))
    await s.catalog.items.delete("home", item.id, Viewer(None, admin=True))
    s.pictures.collector._keep *= 0
    status, told = await s.server.ask("POST", "/v1/admin/previews/collect")
    assert status == 200 and told["unused"] >= 1 and not told["deleted"]
    assert (await s.server.ask("GET", gone["url"]))[0] == 200
    status, done = await s.server.ask("POST", "/v1/admin/previews/collect?dry_run=false")
    assert done["unused"] == told["unused"] and done["bytes"] == told["bytes"] > 0
    assert (await s.server.ask("GET", gone["url"]))[0] == 404
    assert (await s.server.ask("GET", kept["url"]))[0] == 200


async def test_nothing_of_a_person_is_left(s: Studio) -> None:
    carla = await s.server.as_user("carla")
    canary = "zeppelins above the canary wharf"
    preview = await s.finished(await s.ask(await s.item(), scene=canary, server=carla))
    s.hosts[0].pause = 0.3
    running = await s.ask(await s.item(), scene=f"{canary} again", server=carla)
    waiting = await s.ask(await s.item(), scene=f"{canary} at last", server=carla)
    await s.state(running["job"]["id"], "running")
    status, gone = await s.server.ask("DELETE", f"/v1/memory?user_id={carla.made['user']}&account=true")
    s.hosts[0].pause = 0.0
    assert status == 200 and gone["deleted"]["previews"] == 1

    async def quiet() -> bool:
        return not (await s.server.ask("GET", "/v1/admin/jobs"))[1]["counts"]["running"]

    await until(quiet)
    for one in (preview, running, waiting):
        assert (await s.server.ask("GET", f"/v1/previews/{one['key']}"))[0] == 404
    assert s.on_disk(canary) == []
