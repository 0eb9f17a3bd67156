"""What an outfit costs inside ComfyUI, side by side with no adapter and with IPAdapter_plus, in one run.

    python -m bench.ipadapter [--comfyui DIR] [--plus DIR] [--device cpu|cuda] [--json OUT]

ComfyUI runs as a child process from its own folder. Aten operations, linear layers, host synchronisations and seconds
per sampling step are counted at SDXL's depth (70 cross-attention layers) on few channels; what a changed widget, a
clone and a known reference cost is measured with files of real size and random weights (SDXL plus, ViT-H). On a GPU
the steps are SDXL's real size at 1024 × 1024 in half precision.
"""

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from bench.report import add_json_argument, report

CHILD = Path(__file__).parent / "comfy" / "run.py"
HOME = Path.home()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", type=Path, default=Path(os.environ.get("COMFYUI_DIR", HOME / "ComfyUI")))
    parser.add_argument("--python", type=Path, help="ComfyUI's Python; default $COMFYUI_PYTHON, else its .venv's")
    parser.add_argument(
        "--plus", type=Path, default=Path(os.environ.get("IPADAPTER_PLUS_DIR", HOME / "IPAdapter_plus"))
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--parts", default="steps,widget,clones,references", help="which of them to measure")
    add_json_argument(parser)
    options = parser.parse_args()
    options.comfyui, options.plus = options.comfyui.absolute(), options.plus.absolute()  # the child runs elsewhere
    named = os.environ.get("COMFYUI_PYTHON")
    python = options.python or (Path(named) if named else options.comfyui / ".venv" / "bin" / "python")
    if not (options.comfyui / "main.py").is_file():
        parser.error(f"no ComfyUI at {options.comfyui}: name one with --comfyui")
    if not (options.plus / "IPAdapterPlus.py").is_file():
        parser.error(f"no IPAdapter_plus at {options.plus}: name one with --plus")

    found: dict[str, Any] = {}
    for part in options.parts.split(","):  # a process each: memory that one leaves behind is not the next one's
        found |= _measured(part, python, options.comfyui, options.plus, options.device)
    shown = {name: value for name, value in found.items() if isinstance(value, int | float)}
    config = {name: value for name, value in found.items() if name not in shown} | {"device": options.device}
    report("An outfit inside ComfyUI", shown, config, options.json)


def _measured(part: str, python: Path, comfyui: Path, plus: Path, device: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.json"
        environment = {**os.environ, "IPADAPTER_PLUS_DIR": str(plus), "BENCH_DEVICE": device, "BENCH_FOLDER": folder}
        if device == "cpu":
            environment |= {"OMP_NUM_THREADS": "1"}
        subprocess.run([python, CHILD, part, out], cwd=comfyui, env=environment, check=True)
        return json.loads(out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
