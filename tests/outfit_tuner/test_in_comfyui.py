"""The outfit's mathematics inside a real ComfyUI, on tiny models: next to IPAdapter_plus, diffusers and itself.

One child process with ComfyUI's Python, from ComfyUI's folder, does all the drawing (`comfy/run.py`); the tests here
judge what it found. Set COMFYUI_DIR, COMFYUI_PYTHON and IPADAPTER_PLUS_DIR where they are not in the home folder.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.comfyui.host import COMFYUI, IPADAPTER_PLUS, PYTHON, needs_comfyui
from tests.outfit_tuner.comfy.cases import CASES, Case

pytestmark = [pytest.mark.comfyui, needs_comfyui, pytest.mark.timeout(900)]
needs_ipadapter_plus = pytest.mark.skipif(
    not (IPADAPTER_PLUS / "IPAdapterPlus.py").is_file(),
    reason=f"NO IPADAPTER_PLUS at {IPADAPTER_PLUS}: set IPADAPTER_PLUS_DIR to compare with it",
)
SAME = 1e-5  # relative to the largest number, in float32
Found = dict[str, Any]


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, Found]]:
    """What each module of the child found, by case."""
    modules = ["parity_diffusers", "guiders", "sweeps"]
    if (IPADAPTER_PLUS / "IPAdapterPlus.py").is_file():
        modules += ["chaining", "parity_plus"]
    script = Path(__file__).with_name("comfy") / "run.py"
    ended = subprocess.run(
        [str(PYTHON), str(script), *modules], cwd=COMFYUI, capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "IPADAPTER_PLUS_DIR": str(IPADAPTER_PLUS)},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-4000:]
    by_module: dict[str, dict[str, Found]] = {module: {} for module in modules}
    for line in ended.stdout.splitlines():
        if line.startswith('{"module"'):
            result = json.loads(line)
            by_module[result["module"]][result["case"]] = result
    return by_module


@needs_ipadapter_plus
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_same_picture_as_ipadapter_plus(found: dict[str, dict[str, Found]], case: Case) -> None:
    result = found["parity_plus"][case.name]
    assert result["difference"] <= SAME
    unseen = case.weight == 0.0 or case.end_at == 0.0 or case.start_at == 1.0
    assert (result["worn"] > 100 * SAME) != unseen


def test_the_same_numbers_as_diffusers(found: dict[str, dict[str, Found]]) -> None:
    results = found["parity_diffusers"]
    assert len(results) == 11
    assert {case for case, result in results.items() if result["difference"] > SAME} == set()
    assert {case for case, result in results.items() if result["worn"] < 0.1} == set()


@pytest.mark.parametrize(
    "case",
    [
        "DualCFG, nested False",
        "DualCFG, nested True",
        "PerpNeg",
        "the old PerpNeg",
        *(f"two positives, cfg {cfg}, {how}" for cfg in (1.0, 4.0) for how in ("ipadapter_plus", "reference")),
        "an area outside the mask",
        "a white mask with an area is no mask",
    ],
)
def test_each_side_sees_its_own(found: dict[str, dict[str, Found]], case: str) -> None:
    assert found["guiders"][case]["difference"] <= SAME


def test_a_mask_is_squeezed_into_an_area_as_by_ipadapter_plus(found: dict[str, dict[str, Found]]) -> None:
    assert found["guiders"]["an area outside the mask, squeezed into it"]["worn"] > 0.01


def test_a_negative_prompt_that_runs_alone_is_still_negative(found: dict[str, dict[str, Found]]) -> None:
    assert found["guiders"]["self-attention guidance"]["seen"] == [[[1, 0], [0, 1]], [[0], [0]]]


@pytest.mark.parametrize(
    ("scheduler", "steps"), [("normal", 20), ("karras", 16), ("exponential", 13), ("sgm_uniform", 21)]
)
def test_end_at_is_a_noise_level(found: dict[str, dict[str, Found]], scheduler: str, steps: int) -> None:
    """Of 25 steps, those before end_at 0.8."""
    assert found["guiders"][f"steps with {scheduler}"]["steps"] == steps


@pytest.mark.parametrize("case", ["never inside", "weight 0"])
def test_where_it_is_not_seen_no_number_changes(found: dict[str, dict[str, Found]], case: str) -> None:
    assert found["guiders"][case]["equal"]


@pytest.mark.parametrize("behaviour", ["ipadapter_plus", "reference"])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 0.01), ("bfloat16", 0.06)])
def test_half_precision(found: dict[str, dict[str, Found]], dtype: str, tolerance: float, behaviour: str) -> None:
    result = found["guiders"][f"{dtype}, {behaviour}"]
    assert result["difference"] < tolerance
    assert result["stored"] == [f"torch.{dtype}"]


def test_model_management_sees_the_memory(found: dict[str, dict[str, Found]]) -> None:
    result = found["guiders"]["model management"]
    assert result["loaded"]
    assert result["size"] == result["bytes"]


@needs_ipadapter_plus
@pytest.mark.parametrize("case", ["theirs on ours", "ours on theirs", "ours on ours"])
def test_two_adapters_add_up_whoever_comes_first(found: dict[str, dict[str, Found]], case: str) -> None:
    """The same picture as two of IPAdapter_plus's own."""
    assert found["chaining"][case]["difference"] <= SAME
    assert found["chaining"][case]["worn"] > 100 * SAME


@needs_ipadapter_plus
def test_another_pack_s_replacement_is_kept_and_keeps_ours(found: dict[str, dict[str, Found]]) -> None:
    result = found["chaining"]["another pack's replacement, before and after"]
    assert result["difference"] <= SAME
    assert result["worn"] > 100 * SAME


def test_a_sweep_never_grows(found: dict[str, dict[str, Found]]) -> None:
    """A thousand changes after the first hundred."""
    result = found["sweeps"]["a thousand changes"]
    assert result["at most"] == result["on the first"]
    assert result["on the chain"] == 0
    assert result["cached"] == 1
    assert result["loaded"] == 0
    assert result["objects"] < 500
    assert result["kilobytes"] < 4096


@pytest.mark.parametrize("case", ["going back", "with nothing cached"])
def test_going_back_gives_the_same_bytes(found: dict[str, dict[str, Found]], case: str) -> None:
    assert found["sweeps"][case]["equal"]


def test_clones_share_all_of_it(found: dict[str, dict[str, Found]]) -> None:
    result = found["sweeps"]["the tenth clone"]
    assert (result["patches"], result["stored"]) == (1, 1)
    assert result["python_bytes"] + 1024 * result["kilobytes"] < 1_000_000
