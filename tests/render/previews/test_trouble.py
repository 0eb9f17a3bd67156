"""What goes wrong at hosts and stores: nothing is lost, nothing is rendered twice, and a person reads a sentence."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from server.api.services import OBJECTS
from server.catalog.records import Viewer
from server.errors import StoreUnavailable
from server.render.worker import worker as working
from server.render.worker.held import Held
from server.render.worker.lease import Lost, Unwanted
from server.render.worker.rendering import Result
from server.render.worker.worker import Worker
from server.stores.objects import Objects
from tests.harness import until
from tests.render.previews.studio import MakeSettings, photo, studio

MISSING = {
    "error": {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation"},
    "node_errors": {
        "sampler": {
            "errors": [{"type": "value_not_in_list", "message": "Value not in list", "details": "sampler_name: 'x'"}],
            "class_type": "KSampler",
            "dependent_outputs": ["picture"],
        }
    },
}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working, "BACKOFF_MS", (50, 50, 50))
    monkeypatch.setattr(working, "STORE_MS", 100)


async def test_a_graph_that_the_host_rejects_fails_at_once_with_a_sentence(make_settings: MakeSettings) -> None:
    async with studio(make_settings, comfy={"reject": MISSING}) as s:
        item = await s.item()
        asked = await s.ask(item)
        job = await s.ended(asked["job"]["id"])
        assert job["state"] == "failed" and "KSampler" in job["error"]["message"], job
        status, page = await s.server.ask("GET", f"/v1/previews?character={s.character}")
        assert status == 200 and [one["state"] for one in page["previews"]] == ["failed"]
        s.hosts[0].reject = None
        await s.finished(await s.ask(item, status=202))


async def test_a_model_that_no_host_has_is_said_before_anything_is_queued(make_settings: MakeSettings) -> None:
    async with studio(make_settings) as s:
        await s.look(s.character, checkpoint="nowhere.safetensors")
        refused = await s.ask(await s.item(), status=502)
        assert refused["error"]["code"] == "graph_rejected"
        assert "gpu1" in refused["error"]["message"] and "nowhere.safetensors" in refused["error"]["message"]
        assert sum((await s.jobs.counts()).values()) == 0


async def test_what_fails_at_the_host_is_tried_again_then_lies_dead_and_can_be_replayed(
    make_settings: MakeSettings,
) -> None:
    async with studio(make_settings, comfy={"fail_with": "the sampler exploded"}) as s:
        asked = await s.ask(await s.item())
        job = await s.ended(asked["job"]["id"])
        assert job["state"] == "dead" and "the sampler exploded" in job["error"]["message"]
        assert 1 < s.renders <= working.ATTEMPTS
        status, listed = await s.server.ask("GET", "/v1/admin/jobs?state=dead")
        assert status == 200 and [one["id"] for one in listed["jobs"]] == [job["id"]]
        s.hosts[0].fail_with = None
        status, replayed = await s.server.ask("POST", f"/v1/admin/jobs/{job['id']}/replay")
        assert status == 200 and replayed["state"] in ("waiting", "running")
        await s.finished(asked)


async def test_without_a_host_jobs_wait_and_run_when_one_is_back(make_settings: MakeSettings) -> None:
    async with studio(make_settings) as s:
        item, (fake,) = await s.item(), s.hosts
        await s.finished(await s.ask(await s.item()))  # the host is known by now
        fake.broken = True
        await s.fleet.probe("gpu1")
        asked = await s.ask(item, status=202)

        async def no_host() -> bool:
            return (await s.job(asked["job"]["id"]))["waiting"] == "no_host"

        await until(no_host)
        fake.broken = False
        await s.fleet.probe("gpu1")
        await s.finished(asked)


async def test_a_host_that_restarts_mid_render_renders_it_once_more(make_settings: MakeSettings) -> None:
    async with studio(make_settings, comfy={"pause": 0.2}) as s:
        asked = await s.ask(await s.item())
        (fake,) = s.hosts
        await fake.until(lambda: fake.running is not None)
        fake.forget = True  # what runs ends in nobody's history
        await fake.until(lambda: fake.running is None)
        fake.forget = False
        fake.restart()
        await s.finished(asked)
        assert s.renders == 2


@pytest.mark.parametrize("damage", ["cut", "empty", "text"])
async def test_a_damaged_picture_is_fetched_again_and_never_stored(make_settings: MakeSettings, damage: str) -> None:
    sent: list[int] = []
    whole = photo(size=(64, 96))
    bad = {"cut": whole[: len(whole) // 2], "empty": b"", "text": b"<html>Bad gateway</html>"}[damage]

    def picture(_: str) -> bytes:
        sent.append(1)
        return whole if len(sent) > 2 else bad

    async with studio(make_settings, comfy={"picture": picture}) as s:
        await s.finished(await s.ask(await s.item()))
        assert len(sent) == 3 and s.renders == 1


async def test_a_full_disk_is_waited_for_and_the_render_is_not_repeated(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, failures = Objects.put, 3

    async def full(self: Objects, path: str, data: bytes | Path) -> None:
        nonlocal failures
        if path.startswith("previews/") and failures:
            failures -= 1
            raise StoreUnavailable("The object store has no disk space left: nothing was saved.", store="objects")
        await put(self, path, data)

    async with studio(make_settings) as s:
        item = await s.item()
        monkeypatch.setattr(Objects, "put", full)
        asked = await s.ask(item)
        await s.finished(asked)
        assert failures == 0 and s.renders == 1


async def test_a_worker_that_stored_the_picture_and_died_has_done_the_work(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, died = Worker._done, False

    async def dies(self: Worker, held: Held, result: Result) -> None:
        nonlocal died
        if not died:
            died = True
            s.hosts[0].history.clear()  # and the host has forgotten the render too
            await s.jobs.scripts.run("back", held.id, held.fence, 0, "keep", "", "", "")  # as when its lease runs out
            raise Lost
        await done(self, held, result)

    async with studio(make_settings) as s:
        monkeypatch.setattr(Worker, "_done", dies)
        await s.finished(await s.ask(await s.item()))
        assert died and s.renders == 1


async def test_what_was_stored_when_nobody_wanted_it_any_more_is_not_kept(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def too_late(self: Worker, held: Held, result: Result) -> None:
        assert len([stored async for stored in s.server.app[OBJECTS].list("previews")]) == 2
        await s.jobs.cancel(held.id, None, anyway=True)
        raise Unwanted

    async with studio(make_settings) as s:
        monkeypatch.setattr(Worker, "_done", too_late)
        asked = await s.ask(await s.item())
        assert (await s.ended(asked["job"]["id"]))["state"] == "cancelled"

        async def gone() -> bool:
            return not [stored async for stored in s.server.app[OBJECTS].list("previews")]

        await until(gone)


async def test_who_leaves_takes_the_render_off_the_host_unless_others_wait(make_settings: MakeSettings) -> None:
    async with studio(make_settings, comfy={"pause": 0.3, "steps": 20}) as s:
        anna, ben = await s.server.as_user("anna"), await s.server.as_user("ben")
        item, (fake,) = await s.item(), s.hosts
        asked = await s.ask(item, server=anna)
        await s.ask(item, server=ben)
        await s.state(asked["job"]["id"], "running")
        path = f"/v1/jobs/{asked['job']['id']}"
        assert (await anna.ask("DELETE", path))[1]["state"] == "running"
        await asyncio.sleep(0.6)
        assert not fake.interrupted
        await ben.ask("DELETE", path)
        assert (await s.ended(asked["job"]["id"]))["state"] == "cancelled"
        await fake.until(lambda: bool(fake.interrupted))
        assert (await s.ask(item, server=anna))["state"] == "waiting"


async def test_an_item_that_is_deleted_while_it_renders_leaves_a_picture_that_nothing_points_to(
    make_settings: MakeSettings,
) -> None:
    async with studio(make_settings, comfy={"pause": 0.2}) as s:
        item = await s.item()
        asked = await s.ask(item)
        await s.state(asked["job"]["id"], "running")
        await s.catalog.items.delete("home", item.id, Viewer(None, admin=True))
        assert (await s.ended(asked["job"]["id"]))["state"] == "done"
        await s.ask(item, status=404)


async def test_a_look_that_changes_mid_job_leaves_the_old_key_its_own_picture(make_settings: MakeSettings) -> None:
    async with studio(make_settings, comfy={"pause": 0.2}) as s:
        item = await s.item()
        first = await s.ask(item)
        await s.state(first["job"]["id"], "running")
        await s.look(s.character, checkpoint="pony/halina-base.safetensors")
        second = await s.ask(item, status=202)
        assert second["key"] != first["key"]
        for one in (first, second):
            await s.finished(one)
            _, record = await s.server.ask("GET", f"/v1/previews/{one['key']}/record")
            checkpoint = record["workflow"]["checkpoint"]["inputs"]["ckpt_name"]
            assert checkpoint == ("sdxl.safetensors" if one is first else "pony/halina-base.safetensors")


async def test_where_the_pack_is_a_key_is_run_once_by_the_host_itself(make_settings: MakeSettings) -> None:
    async with studio(make_settings, comfy={"token": "a-token-of-the-pack-0123456789"}) as s:
        await s.finished(await s.ask(await s.item()))
        assert s.hosts[0].asked.count("POST /vestige/submit") == 1 and s.renders == 1


async def test_redis_that_restarts_mid_render_loses_nothing(make_settings: MakeSettings) -> None:
    async with studio(make_settings, comfy={"pause": 0.4, "steps": 5}) as s:
        asked = [await s.ask(await s.item()) for _ in range(3)]
        await s.state(asked[0]["job"]["id"], "running")
        os.kill(await s.valkey_pid(), signal.SIGKILL)
        for one in asked:
            await s.finished_whatever(one)
        assert s.renders == 3


async def test_two_servers_and_two_workers_make_one_picture(make_settings: MakeSettings, tmp_path: Path) -> None:
    async with studio(make_settings, comfy={"pause": 0.05}) as s, s.working(), s.beside(tmp_path / "other") as other:
        item = await s.item()
        answers = await asyncio.gather(*(s.ask(item, server=server) for server in (s.server, other) for _ in range(8)))
        assert len({one["job"]["id"] for one in answers if one["job"]}) == 1
        await s.finished(answers[0])
        assert s.renders == 1
        assert (await s.ask(item, server=other))["state"] == "ready"


@pytest.mark.parametrize("field", ["needs", "order"])
async def test_a_job_that_nobody_can_read_fails_and_blocks_nobody(make_settings: MakeSettings, field: str) -> None:
    async with studio(make_settings, worker=False) as s:
        first, second = await s.ask(await s.item()), await s.ask(await s.item())
        await s.jobs.scripts.state.hset(f"vestige:{{render}}:job:{first['job']['id']}", field, '{"of": "long ago"}')
        async with s.working():
            await s.finished(second)
            job = await s.ended(first["job"]["id"])
        assert job["state"] == "failed" and "another version" in job["error"]["message"]
