"""One real ComfyUI for all tests here; each test gets a client of its own.

    async def test_it_runs(comfy: Comfy) -> None:
        graph = Graph()
        checkpoint = graph.checkpoint()
        shown = graph.picture(checkpoint[0], checkpoint[1], checkpoint[2])
        run = await comfy.run(graph)
        assert await comfy.pictures(run, shown)

Its models are tiny and its pack is the working tree's (`host.py`, `fixture_pack/`, `model_folders.py`). When pytest
runs in several processes, `tests/conftest.py` keeps all tests here in one.
"""

from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest

from tests.comfyui.client import Comfy, connect
from tests.comfyui.host import FIXTURE_PACK, IPADAPTER_PLUS, ComfyUI, needs_comfyui, running
from tests.comfyui.model_folders import write_models

PACK_TOKEN = "the-token-of-the-tests"
ENVIRONMENT = {"VESTIGE_PACK_TOKEN": PACK_TOKEN, "VESTIGE_REFERENCE_HOSTS": "pictures.example"}
RUNNING = pytest.StashKey[ComfyUI]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.comfyui)
            item.add_marker(needs_comfyui)
            item.add_marker(pytest.mark.timeout(300))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What ComfyUI printed during a test belongs to the test's failure."""
    report = yield
    comfyui = item.config.stash.get(RUNNING, None)
    if comfyui is not None and report.failed:
        report.sections.append(("ComfyUI's log", comfyui.news()[-10_000:]))
    return report


@pytest.fixture(scope="session")
def comfyui(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[ComfyUI]:
    """The server. Where IPAdapter_plus lies on this machine (IPADAPTER_PLUS_DIR), it is loaded too."""
    base = tmp_path_factory.mktemp("comfyui")
    write_models(base)
    packs = {"vestige": None, "vestige_fixture": FIXTURE_PACK}
    if IPADAPTER_PLUS.is_dir():
        packs["IPAdapter_plus"] = IPADAPTER_PLUS
    with running(base, packs, env=ENVIRONMENT) as comfyui:
        pytestconfig.stash[RUNNING] = comfyui
        yield comfyui
    del pytestconfig.stash[RUNNING]


@pytest.fixture
async def comfy(comfyui: ComfyUI) -> AsyncIterator[Comfy]:
    """A client of the server; what it left in the queue is taken out afterwards."""
    comfyui.seen = len(comfyui.log)
    async with connect(comfyui.url) as comfy:
        yield comfy
        await comfy.clear()
