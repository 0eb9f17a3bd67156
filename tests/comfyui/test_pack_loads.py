"""A clone in a real ComfyUI's custom_nodes loads without error, whatever the folder is called."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMFYUI = Path(os.environ.get("COMFYUI_DIR", Path.home() / "ComfyUI"))
PYTHON = Path(os.environ.get("COMFYUI_PYTHON", COMFYUI / ".venv" / "bin" / "python"))

pytestmark = [
    pytest.mark.comfyui,
    pytest.mark.skipif(
        not (COMFYUI / "main.py").is_file() or not PYTHON.is_file(),
        reason=f"NO REAL COMFYUI at {COMFYUI}: set COMFYUI_DIR and COMFYUI_PYTHON to run the node pack for real",
    ),
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["vestige", "vestige-1.0"])
def test_the_clone_loads(name: str, tmp_path: Path) -> None:
    clone = tmp_path / "custom_nodes" / name
    clone.mkdir(parents=True)
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "__init__.py", "comfy_nodes", "pyproject.toml", "requirements.txt"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    for file in filter(None, tracked):
        target = clone / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, target)

    ran = subprocess.run(
        [PYTHON, "main.py", "--cpu", "--quick-test-for-ci", "--base-directory", tmp_path,
         "--disable-all-custom-nodes", "--whitelist-custom-nodes", name],
        cwd=COMFYUI, capture_output=True, text=True, timeout=280, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    output = ran.stdout + ran.stderr
    assert ran.returncode == 0, output[-3000:]
    loaded = [line for line in output.splitlines() if line.rstrip().endswith(str(clone))]
    assert loaded, output[-3000:]
    assert all("IMPORT FAILED" not in line for line in loaded), output[-3000:]
