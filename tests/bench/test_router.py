"""That `bench.router` runs; what it finds is not looked at."""

import json
import subprocess
import sys
from pathlib import Path


def test_runs_and_reports(tmp_path: Path) -> None:
    out = tmp_path / "router.json"
    command = [sys.executable, "-m", "bench.router", "--quick", "--json", str(out)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    metrics = json.loads(out.read_text())["metrics"]
    rates = [f"{before}rps_50{after}" for before in ("", "stream_") for after in ("", "_whole", "_direct")]
    assert all(metrics[name] > 0 for name in rates)
    assert "added_p50_ms" in metrics
