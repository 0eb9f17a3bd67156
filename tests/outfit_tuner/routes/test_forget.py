"""`/vestige/forget` over real sockets, files and caches; the queue is scripted, `tests/comfyui` has the real one."""

import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from comfy_nodes.outfit_tuner.feature_cache import FeatureCache
from comfy_nodes.outfit_tuner.features import Seen, part_of
from comfy_nodes.outfit_tuner.forgetting import Folders, Forgetter
from comfy_nodes.outfit_tuner.references import ReferenceCache
from comfy_nodes.outfit_tuner.routes.forget import ForgetRoutes
from comfy_nodes.outfit_tuner.routes.submit import SubmitRoutes
from comfy_nodes.outfit_tuner.submissions import Ledger, Submissions
from tests.outfit_tuner.routes.conftest import Serve
from tests.outfit_tuner.routes.test_submit import ScriptedQueue, body, result, submit

KEY = "c0ffee" + "0" * 58
OTHER = "decade" + "0" * 58


class Queue(ScriptedQueue):
    """One that can forget, too."""

    freed = 0

    def forget(self, prompt_id: str) -> None:
        self.histories.pop(prompt_id, None)

    def free(self) -> None:
        self.freed += 1


@dataclass
class House:
    """A ComfyUI's folders, queue and caches behind the routes."""

    base: Path
    client: httpx.AsyncClient
    queue: Queue
    references: ReferenceCache
    features: FeatureCache
    dropped: list[str] = field(default_factory=list)

    def file(self, name: str, content: bytes = b"picture") -> Path:
        path = self.base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def files(self) -> set[str]:
        return {str(path.relative_to(self.base)) for path in self.base.rglob("*") if path.is_file()}

    async def rendered(self, key: str = KEY, outputs: dict[str, Any] | None = None) -> str:
        """A run under this key that is done and filed; its prompt id."""
        asked = body(key)
        await submit(self.client, asked)
        self.queue.finish(asked["prompt_id"], outputs=outputs or {})
        assert (await result(self.client, key))["state"] == "done"
        return asked["prompt_id"]

    async def forget(self, *prompt_ids: str, key: str = KEY, **more: Any) -> list[str]:
        """The codes of what is still there."""
        renders = [{"prompt_id": one, "key": key} for one in prompt_ids]
        answer = await self.client.post("/vestige/forget", json={"renders": renders, **more})
        assert answer.status_code == 200, answer.text
        return [one["code"] for one in answer.json()["kept"]]


@pytest.fixture
async def house(serve: Serve, tmp_path: Path) -> House:
    queue, base = Queue(), tmp_path / "comfyui"
    submissions = Submissions(Ledger(tmp_path / "submissions"), queue)
    references, features = ReferenceCache(tmp_path / "references", 2**20), FeatureCache(tmp_path / "features")
    folders = Folders(base / "input" / "vestige", base / "output" / "vestige", base / "temp")
    dropped: list[str] = []
    forgetter = Forgetter(folders, queue, submissions, references, features, lambda: dropped.append("keys and values"))
    client = await serve([*SubmitRoutes(lambda: submissions).routes(), *ForgetRoutes(lambda: forgetter).routes()])
    return House(base, client, queue, references, features, dropped)


def image(filename: str, subfolder: str = "vestige", type: str = "output") -> dict[str, str]:
    return {"filename": filename, "subfolder": subfolder, "type": type}


async def test_nothing_is_left_of_a_render_and_everything_of_others(house: House) -> None:
    house.file(f"output/vestige/{KEY}_00001_.png")
    house.file(f"output/vestige/{KEY}_00002_.png")  # of a run that ended with ComfyUI, before anything was filed
    house.file("output/vestige/preview_00007_.png")  # as an older server named them
    house.file("temp/shown_00001_.png")
    house.file(f"output/vestige/{OTHER}_00001_.png")
    house.file("output/mine.png")
    outputs = {
        "9": {"images": [image(f"{KEY}_00001_.png"), image("preview_00007_.png")]},
        "4": {"images": [image("shown_00001_.png", "", "temp")], "text": ["a square"], "animated": (False,)},
    }
    prompt_id = await house.rendered(outputs=outputs)
    for _ in range(2):
        assert await house.forget(prompt_id) == []
        assert house.files() == {f"output/vestige/{OTHER}_00001_.png", "output/mine.png"}
        assert house.queue.histories == {}
        assert (await house.client.get(f"/vestige/results/{KEY}")).status_code == 404
    assert house.queue.freed == 0
    status, again = await submit(house.client, body(KEY))  # it may be rendered anew
    assert (status, again["state"]) == (202, "queued")


async def test_what_runs_or_waits_stays_and_is_said(house: House) -> None:
    asked = body(KEY)
    await submit(house.client, asked)
    kept = house.file(f"output/vestige/{KEY}_00001_.png")
    assert await house.forget(asked["prompt_id"]) == ["still_running"]
    house.queue.start(asked["prompt_id"])
    assert await house.forget(asked["prompt_id"]) == ["still_running"]
    assert kept.exists()
    assert (await result(house.client, KEY, wait=0))["state"] == "running"


async def test_a_key_that_is_another_runs_by_now_keeps_its_pictures(house: House) -> None:
    """Each run is forgotten by its own id."""
    picture = house.file(f"output/vestige/{KEY}_00001_.png")
    outputs = {"9": {"images": [image(picture.name)]}}
    first, second = await house.rendered(outputs=outputs), body(KEY)
    assert (await house.client.delete(f"/vestige/results/{KEY}")).status_code == 204
    await submit(house.client, second)
    assert await house.forget(first, str(uuid.uuid4())) == []
    assert picture.exists()
    house.queue.finish(second["prompt_id"], outputs=outputs)
    assert (await result(house.client, KEY))["prompt_id"] == second["prompt_id"]
    assert await house.forget(second["prompt_id"]) == []
    assert not picture.exists()


ELSEWHERE = [
    image("mine.png", "../output"),
    image("mine.png", "vestige/.."),
    image("../mine.png"),
    image("mine.png", ""),
    image("../output/mine.png", "", "temp"),
    image("mine.png", "../output", "temp"),
    image("linked.png"),
    image("linked.png", "", "temp"),
    image("of-mine", ""),
    image("mine.png\0"),
    image(""),
    image("."),
]


async def test_a_run_that_names_other_files_takes_none_with_it(house: House) -> None:
    """Any node of any pack may say that it made any file."""
    mine = house.file("output/mine.png")
    for folder in ("output/vestige", "temp"):
        house.file(f"{folder}/theirs.png")
        (house.base / folder / "linked.png").symlink_to(mine)
    (house.base / "output" / "vestige" / f"{KEY}_00001_.png").symlink_to(mine)
    absolute = [
        one | changed for one in ELSEWHERE for changed in ({"subfolder": str(mine.parent)}, {"filename": str(mine)})
    ]
    outputs = {"9": {"images": [*ELSEWHERE, *absolute, {"filename": 7}, 7], "gifs": 7}, "8": []}
    assert await house.forget(await house.rendered(outputs=outputs)) == []
    assert {"output/mine.png", "output/vestige/theirs.png", "temp/theirs.png"} <= house.files()


async def test_nothing_is_left_of_a_reference(house: House, tmp_path: Path) -> None:
    entry, _ = house.references.put(b"a coat")
    house.references.pin(entry.sha256)
    other, _ = house.references.put(b"a hat")
    for picture in (entry.sha256, other.sha256):
        house.file(f"input/vestige/{picture}.png")
        house.features.put(f"{part_of(picture)}-{KEY}", Seen(torch.ones(4), torch.ones(2, 4)))
    (tmp_path / "features" / f"{KEY}.safetensors").write_bytes(b"of a pack that did not say of which picture it is")
    assert await house.forget(references=[entry.sha256], memory=True) == []
    assert house.files() == {f"input/vestige/{other.sha256}.png"}
    assert [one.sha256 for one in house.references.entries()] == [other.sha256]
    assert [path.name for path in (tmp_path / "features").iterdir()] == [f"{part_of(other.sha256)}-{KEY}.safetensors"]
    found = [house.features.get(f"{part_of(picture)}-{KEY}") for picture in (entry.sha256, other.sha256)]
    assert [one is None for one in found] == [True, False]
    assert (house.queue.freed, house.dropped) == (1, ["keys and values"])


async def test_what_cannot_be_deleted_is_said_and_the_rest_goes(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    prompt_id = await house.rendered(outputs={"9": {"images": [image(f"{KEY}_00001_.png")]}})
    for name in (f"output/vestige/{KEY}_00001_.png", f"input/vestige/{KEY}.png", f"input/vestige/{OTHER}.png"):
        house.file(name)

    unlink = Path.unlink

    def refusing(path: Path, missing_ok: bool = False) -> None:
        if KEY in path.name:
            raise PermissionError(13, "Permission denied")
        unlink(path, missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refusing)
        assert await house.forget(prompt_id, references=[KEY, OTHER]) == ["not_deleted", "not_deleted"]
    assert house.files() == {f"output/vestige/{KEY}_00001_.png", f"input/vestige/{KEY}.png"}
    assert prompt_id in house.queue.histories  # what names the file outlives it
    assert await house.forget(prompt_id, references=[KEY]) == []
    assert house.files() == set()


ID = str(uuid.uuid4())


NONE: list[object] = [
    [],
    {"prompts": [ID]},
    {"renders": ID},
    {"renders": [ID]},
    {"renders": [{"prompt_id": ID}]},
    {"renders": [{"prompt_id": "../x", "key": KEY}]},
    {"renders": [{"prompt_id": ID, "key": "../x"}]},
    {"renders": [{"prompt_id": ID, "key": KEY, "file": "x"}]},
    {"references": ["../../secret"]},
    {"references": [KEY.upper()]},
    {"references": [7]},
    {"references": [KEY] * 1001},
    {"memory": "yes"},
]


async def test_bodies_that_are_none(house: House) -> None:
    for sent in NONE:
        answer = await house.client.post("/vestige/forget", json=sent)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request"), sent
    assert house.queue.freed == 0
