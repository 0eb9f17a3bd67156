"""The benchmark of the LoRA registry measures what it says."""

import json
from pathlib import Path

import pytest

from bench import lora


def test_it_lists_all_and_reads_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out.json"
    monkeypatch.setattr(
        "sys.argv", ["lora", "--versions", "60", "--gigabytes", "0.5", "--times", "2", "--json", str(out)]
    )
    lora.main()
    metrics = json.loads(out.read_text())["metrics"]
    assert metrics["list_ms_60"] > 0
    assert metrics["header_file_bytes"] > 2**29
    assert metrics["header_bytes_asked"] <= metrics["header_bytes_read"] < 1_000_000
