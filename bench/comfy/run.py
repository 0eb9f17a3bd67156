"""Runs inside ComfyUI: `python run.py PART OUT` measures one part of `bench.ipadapter` and writes it as JSON."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[1] / "tests" / "outfit_tuner" / "comfy"
"""The tests' way into ComfyUI and their tiny models."""


def main() -> None:
    part, out = sys.argv[1:]
    sys.path[:0] = [str(HERE), str(SHARED)]
    importlib.import_module("child").prepare(cpu=os.environ["BENCH_DEVICE"] == "cpu")
    import torch

    # not ComfyUI's inference mode, in which the counter would see composed operations whole
    with torch.no_grad():
        found = importlib.import_module(part).measure()
    Path(out).write_text(json.dumps(found), encoding="utf-8")


main()
