"""What is seen of hosts: how they do, what they have, and when not to use them."""

import asyncio
import hashlib
from dataclasses import replace
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry, generate_latest

from server.errors import GraphRejected, HostUnavailable, InvalidRequest, NotFound, RenderError
from server.render.fleet import watcher
from server.render.fleet.fleet import Fleet
from server.render.fleet.types import HostState
from server.render.graphs.build import build
from server.render.graphs.request import LoraVersion, PictureRequest
from tests.fakes.comfyui import PNG
from tests.render.fleet.conftest import MakeFleet, StartHost
from tests.render.graphs.asking import asked
from tests.render.graphs.described import ADAPTERS, CHECKPOINTS, ENCODERS, described

NOWHERE = "http://127.0.0.1:9"
PRESET: dict[str, Any] = {
    "values": {"weight": 0.35, "end_at": 0.7, "weight_type": "ease in", "combine": "add", "freeu": None},
    "pins": {"base_family": "sdxl", "base": "2" * 64, "adapter": None, "encoder": None},
}


async def states(fleet: Fleet) -> dict[str, HostState]:
    return {state.name: state for state in await fleet.look()}


async def test_a_fleet_is_seen(make_fleet: MakeFleet, start_host: StartHost) -> None:
    registry = CollectorRegistry()
    fleet = make_fleet(
        registry,
        gpu1=await start_host(),
        gpu2=await start_host(pack=False, nodes=described(ours=False), version="0.3.64"),
        gpu3=await start_host(token=None),
        gpu4=NOWHERE,
        gpu5=await start_host(broken=True),
        gpu6=await start_host(pack=False, nodes=described(ours=False, plus=False)),
    )
    seen = await states(fleet)
    gpu1, gpu2, gpu3 = seen["gpu1"], seen["gpu2"], seen["gpu3"]
    assert (gpu1.usable, gpu1.pack, gpu1.opened, gpu1.version) == (True, "vestige", True, "0.8.0")
    assert (gpu2.usable, gpu2.pack, gpu2.opened, gpu2.version) == (True, "ipadapter_plus", False, "0.3.64")
    assert (gpu3.usable, gpu3.pack, gpu3.opened) == (True, "vestige", False)
    assert gpu3.problems == ("Its pack does not let us in: Start ComfyUI with a token.",)
    assert gpu1.devices == ("cuda:0 NVIDIA H100, 81920 MB",)
    assert (seen["gpu4"].usable, seen["gpu5"].healthy) == (False, False)
    assert "gpu4 cannot be reached" in str(seen["gpu4"].why)
    assert "gpu5 answers with status 500" in str(seen["gpu5"].why)
    assert seen["gpu6"].pack == "none"
    assert await fleet.available()
    metrics = generate_latest(registry).decode()
    assert 'vestige_host_usable{host="gpu1"} 1.0' in metrics
    assert 'vestige_host_usable{host="gpu4"} 0.0' in metrics
    assert 'call="system_stats",ending="unreachable",host="gpu4"' in metrics
    assert all(HostState.from_json(state.to_json()) == state for state in seen.values())


async def test_hosts_are_looked_at_once_for_all_workers(make_fleet: MakeFleet, start_host: StartHost) -> None:
    fake = await start_host()
    fleets = [make_fleet(gpu1=fake) for _ in range(5)]
    async with asyncio.TaskGroup() as group:
        for fleet in fleets:
            group.create_task(fleet.look())
    assert fake.asked.count("GET /system_stats") == 1
    assert await fleets[4].generation() == await fleets[0].generation() != ""


@pytest.mark.parametrize(
    "models",
    [{"checkpoints": [{"name": "no file"}]}, {"checkpoints": None}, ["checkpoints"], {"loras": [["x"]]}, None],
)
async def test_a_host_that_says_odd_things_harms_nobody_else(
    make_fleet: MakeFleet, start_host: StartHost, models: Any
) -> None:
    fleet = make_fleet(gpu1=await start_host(models=models), gpu2=await start_host())
    seen = await states(fleet)
    assert (seen["gpu1"].usable, seen["gpu2"].usable) == (False, True)
    assert "gpu1 does not answer as a ComfyUI with our pack does" in str(seen["gpu1"].why)
    assert await fleet.choose([await fleet.needs(build(asked()))]) is not None


@pytest.mark.parametrize(
    "odd", [None, [], {"input": []}, {"input": {"required": ["model"]}}, {"input": {"required": {"ckpt_name": "x"}}}]
)
async def test_a_node_that_is_described_oddly_is_no_use_and_no_harm(
    make_fleet: MakeFleet, start_host: StartHost, odd: Any
) -> None:
    nodes = described() | {"CheckpointLoaderSimple": odd}
    fleet = make_fleet(gpu1=await start_host(nodes=nodes), gpu2=await start_host())
    needs = await fleet.needs(build(asked()))
    chosen = await fleet.choose([needs])
    assert chosen is not None
    assert chosen[1].host == "gpu2"


async def test_what_files_are(make_fleet: MakeFleet, start_host: StartHost) -> None:
    fleet = make_fleet(gpu1=await start_host())
    files = await fleet.files()
    assert files["checkpoints", CHECKPOINTS[1]] == "2" * 64
    assert files["characters", "mira@3"] == "a" * 64
    assert files["characters", "otis@2"] is None


async def test_one_name_is_one_content_on_all_hosts(make_fleet: MakeFleet, start_host: StartHost) -> None:
    """The first it was known by, as long as any host has that: a host that comes later does not change keys."""
    one = await start_host()
    other = {"checkpoints": [{"file": CHECKPOINTS[1], "bytes": 7, "sha256": "9" * 64}]}
    two = await start_host(models=other)
    first = make_fleet(gpu1=one)
    await first.files()
    fleet = make_fleet(gpu1=one, gpu2=two, gpu3=await start_host(models=other))
    await fleet.probe("gpu2")
    assert (await fleet.files())["checkpoints", CHECKPOINTS[1]] == "2" * 64
    seen = await states(fleet)
    assert seen["gpu1"].problems == ("1 of its files are still being hashed, and known by name until then.",)
    assert seen["gpu2"].problems == (
        "Its checkpoints/sdxl.safetensors is another file than the other hosts': copy theirs here.",
    )
    graph = build(asked(lora=None))
    for _ in range(2):
        chosen = await fleet.choose([await fleet.needs(graph)])
        assert chosen is not None
        assert chosen[1].host == "gpu1"
    one.models = other
    await fleet.probe("gpu1")
    assert (await fleet.files())["checkpoints", CHECKPOINTS[1]] == "9" * 64


@pytest.mark.parametrize(
    ("hosts", "changed", "template"),
    [
        ([{"ours": True}], {}, "outfit_preview"),
        ([{"ours": False}], {}, "outfit_preview_ipadapter_plus"),
        ([{"ours": False}, {"ours": True}], {}, "outfit_preview"),
        ([{"ours": True}], {"reference": None}, "character_portrait"),
        ([{"ours": False, "plus": False}], {"reference": None}, "character_portrait_core"),
    ],
)
async def test_the_template_is_chosen_before_the_host(
    make_fleet: MakeFleet, start_host: StartHost, hosts: list[dict[str, Any]], changed: dict[str, Any], template: str
) -> None:
    fakes = {f"gpu{n}": await start_host(nodes=described(**how)) for n, how in enumerate(hosts)}
    fleet = make_fleet(**fakes)
    request = await fleet.complete(asked(template=None, **changed))
    assert request.template == template
    assert await fleet.complete(request) is request
    await fleet.needs(build(request))


async def test_a_request_is_completed(make_fleet: MakeFleet, start_host: StartHost) -> None:
    fake = await start_host(presets={"dress/3": PRESET})
    fleet = make_fleet(gpu1=fake)
    lora = LoraVersion("mira", 3)
    short = PictureRequest(CHECKPOINTS[1], lora, "dress@3", reference="d" * 64, tuning={"end_at": 0.75})
    done = await fleet.complete(short)
    assert (done.adapter, done.encoder) == (ADAPTERS[0], ENCODERS[0])
    assert done.lora == replace(lora, sha256="a" * 64)
    assert done.tuning["weight"] == 0.35
    assert done.tuning["end_at"] == 0.75
    assert done.tuning["freeu"] is False
    assert build(done).nodes["tuning"].inputs["weight_type"] == "ease in"
    fake.presets.clear()  # a version never changes: it is asked for once
    assert await make_fleet(gpu1=fake).complete(short) == done


async def test_a_preset_that_is_another_on_another_host_is_said(make_fleet: MakeFleet, start_host: StartHost) -> None:
    other = {**PRESET, "values": {**PRESET["values"], "weight": 0.9}}
    same = {**PRESET, "notes": "saved by somebody else"}
    fakes = {
        "gpu1": await start_host(presets={"dress/3": PRESET, "coat/1": PRESET, "hat/1": PRESET}),
        "gpu2": await start_host(presets={"dress/3": other, "coat/1": same}),
    }
    fleet = make_fleet(**fakes)
    with structlog.testing.capture_logs() as logs:
        first, second = await fleet.look()
        await fleet.probe("gpu2")
    assert not any("preset" in problem for problem in first.problems)
    (said,) = [problem for problem in second.problems if "preset" in problem]
    assert said.startswith("Its preset dress@3 is another than the other hosts'")
    assert [(one["host"], one["preset"]) for one in logs if "preset" in one] == [("gpu2", "dress@3")]

    done = await fleet.complete(asked(template=None, preset="dress@3", tuning={}))
    assert done.tuning["weight"] == PRESET["values"]["weight"]  # which goes with the render, whatever host it meets
    fakes["gpu1"].presets["dress/3"] = other  # somebody copied the wrong one
    assert any("dress@3" in problem for problem in (await fleet.probe("gpu1")).problems)


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"preset": "dress@3", "checkpoint": "other"}, None, ""),
        ({"preset": "dress@4"}, InvalidRequest, "The preset dress@4 was tuned on another checkpoint than sdxl"),
        (
            {"preset": "dress@5"},
            InvalidRequest,
            "was tuned on sd15 and sdxl.safetensors is sdxl: choose a checkpoint of",
        ),
        ({"preset": "gone@1"}, RenderError, "There is no such preset"),
        ({"adapter": None, "encoder": None}, InvalidRequest, "Which IP-Adapter? Name it in the character's look. On "),
    ],
)
async def test_requests_that_cannot_be(
    make_fleet: MakeFleet, start_host: StartHost, changed: dict[str, Any], error: Any, message: str
) -> None:
    other, older = {**PRESET, "pins": {"base": "9" * 64}}, {**PRESET, "pins": {"base_family": "sd15"}}
    nodes = described(adapters=["one.safetensors", "two.safetensors"])
    fleet = make_fleet(
        gpu1=await start_host(presets={"dress/3": PRESET, "dress/4": other, "dress/5": older}, nodes=nodes)
    )
    request = asked(template=None, **changed)
    if error is None:
        assert await fleet.complete(request)
        return
    with pytest.raises(error) as caught:
        await fleet.complete(request)
    assert message in caught.value.message


async def test_no_host_can_wear_it(make_fleet: MakeFleet, start_host: StartHost) -> None:
    fleet = make_fleet(gpu1=await start_host(pack=False, nodes=described(ours=False, plus=False)))
    with pytest.raises(RenderError, match="No ComfyUI host has Vestige's nodes or IPAdapter_plus"):
        await fleet.complete(asked(template=None))


async def test_a_model_that_no_host_has_is_refused_at_once(
    make_fleet: MakeFleet, start_host: StartHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "REFRESH_SECONDS", 0.001)
    gpu1, gpu2 = await start_host(), await start_host()
    fleet = make_fleet(gpu1=gpu1, gpu2=gpu2)
    graph = build(asked(checkpoint="new.safetensors"))
    with pytest.raises(GraphRejected) as caught:
        await fleet.needs(graph)
    assert "gpu1 has no checkpoint 'new.safetensors': put it into its models/checkpoints" in caught.value.message
    assert "gpu2 has no checkpoint" in caught.value.message
    gpu2.nodes = described(checkpoints=["new.safetensors"])  # somebody copies it, and asks again at once
    chosen = await fleet.choose([await fleet.needs(graph)])
    assert chosen is not None
    assert chosen[1].host == "gpu2"


async def test_a_lora_of_the_registry_need_not_be_there_yet(make_fleet: MakeFleet, start_host: StartHost) -> None:
    nodes = described(loras=["other.safetensors"], characters=[])
    fleet = make_fleet(gpu1=await start_host(nodes=nodes))
    assert await fleet.needs(build(asked(lora=LoraVersion("new", 1, "c" * 64))))
    with pytest.raises(GraphRejected, match="no character 'new@1'"):
        await fleet.needs(build(asked(lora=LoraVersion("new", 1))))
    with pytest.raises(GraphRejected, match="gpu1 has no character 'new@1'"):
        await fleet.localise(build(asked(lora=LoraVersion("new", 1, "c" * 64))), "gpu1")


async def test_hosts_that_nobody_ever_saw_refuse_nothing(make_fleet: MakeFleet) -> None:
    fleet = make_fleet(gpu1=NOWHERE)
    assert not await fleet.available()
    with pytest.raises(HostUnavailable, match="None of the ComfyUI hosts was ever reached"):
        await fleet.complete(asked(template=None))
    with pytest.raises(HostUnavailable, match="no ComfyUI host in the settings"):
        await make_fleet().complete(asked(template=None))
    needs = await fleet.needs(build(asked()))
    assert await fleet.choose([needs]) is None
    with pytest.raises(HostUnavailable):
        await fleet.host("gpu1").stats()
    with pytest.raises(NotFound, match="no ComfyUI host 'gpu9'"):
        fleet.host("gpu9")


async def test_a_reference_is_uploaded_once_to_each_host(make_fleet: MakeFleet, start_host: StartHost) -> None:
    fake = await start_host()
    workers = [make_fleet(gpu1=fake) for _ in range(2)]
    graph = build(asked(reference=hashlib.sha256(PNG).hexdigest()))

    async def picture() -> bytes:
        return PNG

    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(workers[0].localise(graph, "gpu1", picture))
    local = await workers[1].localise(graph, "gpu1", picture)
    assert fake.asked.count("POST /upload/image") == 1
    assert local["reference"]["inputs"]["picture"] in fake.uploads
    fake.restart()
    await workers[0].probe("gpu1")
    await workers[1].localise(graph, "gpu1")  # it is still there, and nobody has to give it
    fake.restart()
    fake.uploads.clear()
    await workers[0].probe("gpu1")
    with pytest.raises(RenderError, match="lacks the reference"):
        await workers[1].localise(graph, "gpu1")
    await workers[1].localise(graph, "gpu1", picture)
    assert fake.asked.count("POST /upload/image") == 2


async def test_a_damaged_reference_is_not_sent(make_fleet: MakeFleet, start_host: StartHost) -> None:
    fleet = make_fleet(gpu1=await start_host())

    async def picture() -> bytes:
        return PNG

    with pytest.raises(RenderError, match="is not what its hash says"):
        await fleet.localise(build(asked()), "gpu1", picture)
