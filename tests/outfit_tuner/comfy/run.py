"""Runs the named modules of this folder, one after another, and prints what each finds as lines of JSON.

    cd COMFYUI && .venv/bin/python …/tests/outfit_tuner/comfy/run.py parity_plus guiders

Each line is `{"module", "case", …}` with the numbers that the tests judge.
"""

from __future__ import annotations

import importlib
import json
import sys

import child


def main() -> None:
    child.prepare()
    import torch

    torch.set_num_threads(1)
    with torch.inference_mode():
        for module in sys.argv[1:]:
            for case, found in importlib.import_module(module).results():
                sys.stdout.write(json.dumps({"module": module, "case": case, **found}) + "\n")
                sys.stdout.flush()


main()
