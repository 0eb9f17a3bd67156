"""`/vestige/submit` over real sockets, with a queue that tests script; `tests/comfyui` has the real one."""

import asyncio
import contextlib
import json
import subprocess
import sys
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from comfy_nodes.outfit_tuner.routes.submit import SubmitRoutes
from comfy_nodes.outfit_tuner.submissions import GraphRefused, Ledger, Record, Standing, Submission, Submissions
from tests.outfit_tuner.routes.conftest import Serve

ROOT = Path(__file__).resolve().parents[3]
GRAPH = {"1": {"class_type": "Draw", "inputs": {"seed": 7}}}
OUTPUTS = {"1": {"images": [{"filename": "a.png", "subfolder": "", "type": "output"}]}}


class ScriptedQueue:
    """A queue like ComfyUI's. `puts` is every prompt id that was queued, twice if twice."""

    def __init__(self) -> None:
        self.puts: list[str] = []
        self.waiting: list[str] = []
        self.running: list[str] = []
        self.histories: dict[str, dict[str, Any]] = {}
        self.checked = asyncio.Event()
        self.checked.set()

    async def check(self, submission: Submission) -> None:
        await self.checked.wait()
        await asyncio.sleep(0)
        node = submission.graph["1"]
        if node["class_type"] == "Unknown":
            raise GraphRefused("ComfyUI would not run the graph.", node_errors={"1": {}})
        node["inputs"]["seed"] = float(node["inputs"]["seed"])  # ComfyUI writes into the graph, too

    async def put(self, submission: Submission, request: web.Request) -> None:
        assert request.path == "/vestige/submit"
        self.puts.append(submission.prompt_id)
        self.waiting.append(submission.prompt_id)

    def standing(self) -> Standing:
        return Standing(frozenset(self.running), frozenset(self.waiting))

    def history(self, prompt_id: str) -> dict[str, Any] | None:
        return self.histories.get(prompt_id)

    def start(self, prompt_id: str) -> None:
        self.waiting.remove(prompt_id)
        self.running.append(prompt_id)

    def finish(self, prompt_id: str, *messages: list[Any], outputs: dict[str, Any] | None = None) -> None:
        for queue in (self.waiting, self.running):
            with contextlib.suppress(ValueError):
                queue.remove(prompt_id)
        status = {"status_str": "error" if messages else "success", "completed": not messages, "messages": messages}
        self.histories[prompt_id] = {"outputs": OUTPUTS if outputs is None else outputs, "status": status}


Start = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture
def queue() -> ScriptedQueue:
    return ScriptedQueue()


@pytest.fixture
def start(serve: Serve, queue: ScriptedQueue, tmp_path: Path) -> Start:
    """Starts a server over the same folder, as another ComfyUI or the same one later; it may have another queue."""

    async def begin(other: ScriptedQueue | None = None) -> httpx.AsyncClient:
        submissions = Submissions(Ledger(tmp_path / "submissions"), other or queue)
        return await serve(SubmitRoutes(lambda: submissions).routes())

    return begin


@pytest.fixture
async def client(start: Start) -> httpx.AsyncClient:
    return await start()


def body(key: str = "dress-1", prompt_id: str | None = None, graph: Any = GRAPH, **more: Any) -> dict[str, Any]:
    return {"key": key, "prompt_id": prompt_id or str(uuid.uuid4()), "prompt": graph, **more}


async def submit(client: httpx.AsyncClient, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    answer = await client.post("/vestige/submit", json=asked)
    return answer.status_code, answer.json()


async def refused(client: httpx.AsyncClient, asked: dict[str, Any]) -> tuple[int, str]:
    status, answer = await submit(client, asked)
    return status, answer["error"]["code"]


async def result(client: httpx.AsyncClient, key: str = "dress-1", wait: int = 10) -> dict[str, Any]:
    answer = await client.get(f"/vestige/results/{key}", params={"wait": wait})
    assert answer.status_code == 200
    return answer.json()


async def eventually(holds: Callable[[], bool]) -> None:
    for _ in range(400):
        if holds():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("It never came to hold.")


async def test_a_graph_runs_and_its_result_is_found_by_its_key(client: httpx.AsyncClient, queue: ScriptedQueue) -> None:
    asked = body()
    status, shown = await submit(client, asked)
    assert (status, shown["state"], shown["prompt_id"]) == (202, "queued", asked["prompt_id"])
    queue.start(asked["prompt_id"])
    assert (await result(client, wait=0))["state"] == "running"
    queue.finish(asked["prompt_id"])
    done = await result(client)
    assert (done["state"], done["outputs"], done["error"]) == ("done", OUTPUTS, None)
    assert done["queued_at"] < done["finished_at"]
    assert done["finished_at"].endswith("+00:00")


async def test_a_prompt_id_is_one_run_however_often_it_is_asked_for(
    client: httpx.AsyncClient, queue: ScriptedQueue
) -> None:
    asked = body()
    answers = await asyncio.gather(*(submit(client, asked) for _ in range(20)))
    assert sorted(status for status, _ in answers) == [200] * 19 + [202]
    queue.start(asked["prompt_id"])
    assert (await submit(client, asked))[1]["state"] == "running"
    queue.finish(asked["prompt_id"])
    assert (await result(client))["state"] == "done"
    queue.histories.clear()
    status, shown = await submit(client, asked)
    assert (status, shown["state"], shown["outputs"]) == (200, "done", OUTPUTS)
    assert queue.puts == [asked["prompt_id"]]


async def test_a_key_completes_once_whoever_asks(client: httpx.AsyncClient, queue: ScriptedQueue) -> None:
    answers = await asyncio.gather(*(submit(client, body()) for _ in range(20)))
    assert sorted(status for status, _ in answers) == [200] * 19 + [202]
    [prompt_id] = {shown["prompt_id"] for _, shown in answers}
    assert queue.puts == [prompt_id]
    queue.finish(prompt_id)
    assert (await result(client))["state"] == "done"
    status, shown = await submit(client, body())
    assert (status, shown["prompt_id"], shown["state"]) == (200, prompt_id, "done")
    assert len(queue.puts) == 1


async def test_reuse_for_something_else_is_refused(client: httpx.AsyncClient, queue: ScriptedQueue) -> None:
    first, other_graph = body(), {"1": {"class_type": "Draw", "inputs": {"seed": 8}}}
    await submit(client, first)
    assert await refused(client, first | {"key": "dress-2"}) == (409, "prompt_id_reused")
    assert await refused(client, first | {"prompt": other_graph}) == (409, "prompt_id_reused")
    assert await refused(client, body(graph=other_graph)) == (409, "key_reused")
    queue.finish(first["prompt_id"])
    await result(client)
    assert await refused(client, body(graph=other_graph)) == (409, "key_reused")
    assert queue.puts == [first["prompt_id"]]


FAILED = ["execution_error", {"exception_message": "out of memory\n", "node_id": "3", "node_type": "KSampler",
                              "exception_type": "OOM", "traceback": ["secret"], "current_inputs": {}}]  # fmt: skip


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        (
            [["execution_start", {}], FAILED],
            {"code": "execution_error", "message": "out of memory", "node_id": "3", "node_type": "KSampler",
             "exception_type": "OOM"},
        ),
        ([["execution_interrupted", {}]], {"code": "interrupted"}),
        ([["execution_start", {}]], {"code": "execution_error"}),
    ],
)  # fmt: skip
async def test_a_run_that_failed_says_why_and_its_key_can_be_submitted_anew(
    client: httpx.AsyncClient, queue: ScriptedQueue, messages: list[list[Any]], error: dict[str, str]
) -> None:
    asked = body()
    await submit(client, asked)
    queue.finish(asked["prompt_id"], *messages)
    failed = await result(client)
    assert failed["state"] == "error"
    assert failed["error"].items() >= error.items()
    assert failed["error"]["message"]
    assert "traceback" not in json.dumps(failed)
    assert (await submit(client, asked))[1]["state"] == "error"  # the same prompt id has had its run

    other_graph = {"1": {"class_type": "Draw", "inputs": {"seed": 8}}}
    again = body(graph=other_graph)
    assert (await submit(client, again))[0] == 202
    assert queue.puts == [asked["prompt_id"], again["prompt_id"]]
    queue.finish(again["prompt_id"], FAILED)
    await result(client)
    assert await refused(client, asked) == (409, "prompt_id_reused")
    last = body()
    await submit(client, last)
    queue.finish(last["prompt_id"])
    assert (await result(client))["state"] == "done"


async def test_what_left_the_queue_without_a_result_says_so(client: httpx.AsyncClient, queue: ScriptedQueue) -> None:
    asked = body()
    await submit(client, asked)
    queue.waiting.clear()
    assert (await result(client))["error"]["code"] == "cancelled"
    assert (await submit(client, asked))[1]["state"] == "error"
    assert len(queue.puts) == 1


async def test_a_result_is_there_after_a_restart_and_after_the_history_is_lost(
    client: httpx.AsyncClient, start: Start, queue: ScriptedQueue
) -> None:
    asked = body()
    await submit(client, asked)
    queue.finish(asked["prompt_id"])
    await result(client)
    later = ScriptedQueue()
    restarted = await start(later)
    assert (await result(restarted))["outputs"] == OUTPUTS
    assert (await submit(restarted, asked))[1]["state"] == "done"
    assert (await submit(restarted, body()))[1]["state"] == "done"
    assert later.puts == []


async def test_two_comfyuis_over_one_folder_run_a_key_once(
    client: httpx.AsyncClient, start: Start, queue: ScriptedQueue
) -> None:
    other_queue = ScriptedQueue()
    other = await start(other_queue)
    bodies = [body() for _ in range(10)]
    answers = await asyncio.gather(*(submit((client, other)[at % 2], asked) for at, asked in enumerate(bodies)))
    assert sorted(status for status, _ in answers) == [200] * 9 + [202]
    [prompt_id] = queue.puts + other_queue.puts
    assert {shown["prompt_id"] for _, shown in answers} == {prompt_id}
    (queue if queue.puts else other_queue).finish(prompt_id)
    assert [(await result(server))["state"] for server in (client, other)] == ["done", "done"]


DIES = """
import asyncio, sys
from pathlib import Path
from comfy_nodes.outfit_tuner.submissions import Ledger, Record, digest
ledger = Ledger(Path(sys.argv[1]))
record = Record("dress-1", sys.argv[2], digest({"1": {"class_type": "Draw", "inputs": {"seed": 7}}}), ledger.process)
assert ledger.claim(record, None) is None
print("claimed", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("same_prompt_id", [True, False])
async def test_what_a_killed_comfyui_was_running_is_lost_and_is_run_again_once(
    start: Start, queue: ScriptedQueue, tmp_path: Path, same_prompt_id: bool
) -> None:
    asked = body()
    arguments = [sys.executable, "-c", DIES, str(tmp_path / "submissions"), asked["prompt_id"]]
    with subprocess.Popen(arguments, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: ASYNC220
        assert process.stdout is not None
        assert process.stdout.readline() == "claimed\n"
        client = await start()
        assert (await result(client, wait=0))["state"] == "queued"  # it lives
        assert (await submit(client, body()))[1]["prompt_id"] == asked["prompt_id"]
        process.kill()
        process.communicate()
    lost = await result(client, wait=0)
    assert (lost["state"], lost["error"]["code"]) == ("error", "lost")
    again = asked if same_prompt_id else body()
    answers = await asyncio.gather(*(submit(client, again) for _ in range(5)))
    assert sorted(status for status, _ in answers) == [200] * 4 + [202]
    assert queue.puts == [again["prompt_id"]]
    queue.finish(again["prompt_id"])
    assert (await result(client))["state"] == "done"


async def test_a_prompt_id_that_was_posted_to_comfyui_itself_is_not_queued_again(
    client: httpx.AsyncClient, queue: ScriptedQueue
) -> None:
    asked = body()
    queue.running.append(asked["prompt_id"])
    assert (await submit(client, asked))[1]["state"] == "running"
    queue.finish(asked["prompt_id"])
    assert (await result(client))["state"] == "done"
    finished = body("dress-2")
    queue.finish(finished["prompt_id"])
    await submit(client, finished)
    assert (await result(client, "dress-2"))["state"] == "done"
    assert queue.puts == []


async def test_a_graph_that_comfyui_refuses_leaves_nothing_behind(
    client: httpx.AsyncClient, queue: ScriptedQueue, tmp_path: Path
) -> None:
    asked = body(graph={"1": {"class_type": "Unknown", "inputs": {}}})
    status, answer = await submit(client, asked)
    assert (status, answer["error"]["code"]) == (422, "graph_refused")
    assert answer["error"]["details"] == {"node_errors": {"1": {}}}
    assert (await client.get("/vestige/results/dress-1")).status_code == 404
    assert (await submit(client, asked | {"prompt": GRAPH}))[0] == 202


async def test_a_full_disk_refuses_before_anything_runs_and_files_a_result_later(
    client: httpx.AsyncClient, queue: ScriptedQueue, tmp_path: Path
) -> None:
    folder = tmp_path / "submissions"
    folder.write_text("in the way")
    assert await refused(client, body()) == (503, "results_unwritable")
    assert queue.puts == []
    folder.unlink()

    asked = body()
    await submit(client, asked)
    results = folder / "results"
    results.rename(folder / "aside")
    results.write_text("in the way")
    queue.finish(asked["prompt_id"])
    assert (await result(client))["state"] == "done"  # from memory
    results.unlink()
    (folder / "aside").rename(results)
    await eventually(lambda: b'"state": "done"' in next(results.glob("*.json")).read_bytes())


async def test_a_damaged_record_counts_as_none(client: httpx.AsyncClient, queue: ScriptedQueue, tmp_path: Path) -> None:
    asked = body()
    await submit(client, asked)
    queue.finish(asked["prompt_id"])
    await result(client)
    [file] = (tmp_path / "submissions" / "results").glob("*.json")
    for damage in (b"", b"{", b"[]", b'{"format": 2}', b'{"format": 1}', b"\xff"):
        file.write_bytes(damage)
        assert (await client.get("/vestige/results/dress-1")).status_code == 404
    assert (await submit(client, body()))[0] == 202


async def test_results_can_be_forgotten_once_they_are_there(
    client: httpx.AsyncClient, queue: ScriptedQueue, tmp_path: Path
) -> None:
    asked = body()
    await submit(client, asked)
    still = await client.delete("/vestige/results/dress-1")
    assert (still.status_code, still.json()["error"]["code"]) == (409, "still_running")
    queue.finish(asked["prompt_id"])
    await result(client)
    assert (await client.delete("/vestige/results/dress-1")).status_code == 204
    assert (await client.get("/vestige/results/dress-1")).status_code == 404
    assert (await client.delete("/vestige/results/dress-1")).status_code == 404
    left = [path for path in (tmp_path / "submissions").rglob("*") if path.is_file()]
    assert {path.parent.name for path in left} == {"submissions", "processes"}


async def test_outputs_are_what_json_can_hold(client: httpx.AsyncClient, queue: ScriptedQueue) -> None:
    asked, strange = body(), {"1": {"score": [float("nan")], "shape": (1, 2), "what": [object], "name": ["\ud800"]}}
    await submit(client, asked)
    queue.finish(asked["prompt_id"], outputs=strange | {"2": {"text": ["x" * 2**21], "images": OUTPUTS["1"]["images"]}})
    assert (await result(client))["outputs"] == {"2": OUTPUTS["1"]}  # past a megabyte, the pictures alone
    other = body("dress-2")
    await submit(client, other)
    queue.finish(other["prompt_id"], outputs=strange)
    shown = (await result(client, "dress-2"))["outputs"]["1"]
    assert (shown["score"], shown["shape"], shown["name"]) == (["nan"], [1, 2], ["\ud800"])


def test_only_the_newest_records_are_kept(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, keep=3)
    for number in range(6):
        record = Record(f"key-{number}", str(uuid.uuid4()), "0" * 64, ledger.process)
        assert ledger.claim(record, None) is None
        if number != 1:  # still running
            ledger.file(record.done({}))
    ledger.prune()
    assert [number for number in range(6) if ledger.read(f"key-{number}") is not None] == [1, 3, 4, 5]


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": None},
        {"key": ""},
        {"key": "../../etc/passwd"},
        {"key": "a b"},
        {"key": "x" * 201},
        {"key": "dress\n"},
        {"key": 7},
        {"prompt_id": "7"},
        {"prompt_id": str(uuid.uuid4()).upper().replace("0", "A")},
        {"prompt_id": uuid.uuid4().hex},
        {"prompt_id": None},
        {"prompt": None},
        {"prompt": {}},
        {"prompt": []},
        {"prompt": {"1": {}}},
        {"prompt": {"1": {"class_type": "Draw"}}},
        {"prompt": {"1": {"class_type": ["Draw"], "inputs": {}}}},
        {"prompt": {"1": None}},
        {"extra_data": []},
        {"client_id": 7},
        {"front": "yes"},
        {"number": -1},
        {"__proto__": {}},
    ],
)
async def test_bodies_that_are_no_submission(
    client: httpx.AsyncClient, queue: ScriptedQueue, wrong: dict[str, Any]
) -> None:
    assert await refused(client, body() | wrong) == (400, "invalid_request")
    assert queue.puts == []


@pytest.mark.parametrize(("path", "status"), [("nothing-here", 404), ("..%2f..%2fetc", 400), ("a?wait=61", 400)])
async def test_results_that_are_not_there(client: httpx.AsyncClient, path: str, status: int) -> None:
    assert (await client.get(f"/vestige/results/{path}")).status_code == status


async def test_waiting_ends_with_the_run_and_asks_no_more_than_it_must(
    client: httpx.AsyncClient, queue: ScriptedQueue
) -> None:
    asked = body()
    await submit(client, asked)
    waiting = asyncio.create_task(result(client, wait=60))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    queue.finish(asked["prompt_id"])
    async with asyncio.timeout(10):
        assert (await waiting)["state"] == "done"
