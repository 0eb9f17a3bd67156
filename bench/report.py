"""How every benchmark reports: a table for people, `{"metrics", "config"}` for programs."""

import argparse
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path

__all__ = ["add_json_argument", "percentile", "report"]

Number = int | float


def add_json_argument(parser: argparse.ArgumentParser) -> None:
    """`--json OUT`, the same in every benchmark."""
    parser.add_argument("--json", type=Path, metavar="OUT", help="write metrics and config to this file")


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` (0..1) of `values` lie: nearest rank. 0 for none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def report(
    title: str, metrics: Mapping[str, Number], config: Mapping[str, object], out: Path | None = None
) -> dict[str, object]:
    """Prints the metrics as a table and writes them to `out` if given. The machine is added to the config."""
    machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    result: dict[str, object] = {"metrics": dict(metrics), "config": {**machine, **config}}
    width = max((len(name) for name in metrics), default=0)
    print(f"\n{title}")
    for name, value in metrics.items():
        print(f"  {name:<{width}}  {_shown(value)}")
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(result, indent=2, default=str) + "\n", encoding="utf-8")
        print(f"  written to {out}")
    return result


def _shown(value: Number) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.1f}"
