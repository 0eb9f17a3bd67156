"""A clone in a real ComfyUI's custom_nodes loads without error, also in a folder whose name Python cannot import."""

import os
import subprocess
from pathlib import Path

from tests.comfyui.host import COMFYUI, PYTHON, copy_pack

NAME = "vestige-1.0"  # all other tests have it as `vestige`


def test_the_clone_loads(tmp_path: Path) -> None:
    clone = tmp_path / "custom_nodes" / NAME
    copy_pack(clone)
    ran = subprocess.run(
        [PYTHON, "main.py", "--cpu", "--quick-test-for-ci", "--base-directory", tmp_path,
         "--disable-all-custom-nodes", "--disable-api-nodes", "--whitelist-custom-nodes", NAME],
        cwd=COMFYUI, capture_output=True, text=True, timeout=280, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    output = ran.stdout + ran.stderr
    assert ran.returncode == 0, output[-3000:]
    loaded = [line for line in output.splitlines() if line.rstrip().endswith(str(clone))]
    assert loaded, output[-3000:]
    assert all("IMPORT FAILED" not in line for line in loaded), output[-3000:]
