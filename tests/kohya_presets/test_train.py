"""`train.sh`, with a trainer in the place of sd-scripts that says how it was called."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kohya_presets.test_presets import FOLDER, filled
from tests.training.pictures import good_dataset

LAUNCHER = """
import json, sys
json.dump(sys.argv[1:], open("called.json", "w"))
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A training folder, a checkout of a trainer, and a Python that has `accelerate`."""
    scripts = tmp_path / "sd scripts"
    launcher = scripts / "modules" / "accelerate" / "commands"
    launcher.mkdir(parents=True)
    (scripts / "sdxl_train_network.py").touch()
    (launcher / "launch.py").write_text(LAUNCHER, encoding="utf-8")
    for folder in (launcher, launcher.parent):
        (folder / "__init__.py").touch()
    work = tmp_path / "my training"
    work.mkdir()
    (work / "base.safetensors").touch()
    good_dataset(work / "pictures")
    shutil.copy(FOLDER / "sample_prompts.txt", work)
    text = (FOLDER / "realistic-12gb.toml").read_text(encoding="utf-8").replace("1024,1024", "512,512")
    text = text.replace("min_bucket_reso = 512", "min_bucket_reso = 256").replace("_steps = 64", "_steps = 32")
    (work / "lora.toml").write_text(filled(text), encoding="utf-8")
    return work


def train(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    scripts = place.parent / "sd scripts"
    environment = os.environ | {
        "SD_SCRIPTS": str(scripts),
        "PYTHON": sys.executable,
        "PYTHONPATH": str(scripts / "modules"),
        "VESTIGE": f"{sys.executable} -m server.cli",
    }
    # this repository is importable from anywhere: it is installed
    return subprocess.run(
        [FOLDER / "train.sh", place / "lora.toml", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        cwd="/",
    )


def test_a_run_is_written_down_and_started(place: Path) -> None:
    ran = train(place, "--", "--max_train_steps", "7")
    assert ran.returncode == 0, ran.stderr
    called = (place / "called.json").read_text(encoding="utf-8")
    assert '"--config_file", "lora.toml", "--max_train_steps", "7"' in called
    (run,) = (place / "out" / "runs").iterdir()
    assert {path.name for path in run.iterdir()} == {
        "command.txt", "config.toml", "dataset.html", "dataset.json", "sha256.txt", "versions.txt",
    }  # fmt: skip
    assert (run / "config.toml").read_bytes() == (place / "lora.toml").read_bytes()
    assert "--max_train_steps 7" in (run / "command.txt").read_text(encoding="utf-8")
    hashes = (run / "sha256.txt").read_text(encoding="utf-8")
    assert len(hashes.splitlines()) == 2 + 32 + 1  # configuration and base, pictures and captions, sources
    assert "vestige " in (run / "versions.txt").read_text(encoding="utf-8")


def test_going_on_takes_the_newest_state(place: Path) -> None:
    assert "no state of halina_v1" in train(place, "--resume").stderr
    for age, name in enumerate(("halina_v1-000002-state", "halina_v1-000001-state", "other-state")):
        state = place / "out" / name
        state.mkdir(parents=True)
        os.utime(state, (1_000 - age, 1_000 - age))
    ran = train(place, "--resume")
    assert ran.returncode == 0, ran.stderr
    called = (place / "called.json").read_text(encoding="utf-8")
    assert '"--resume", "out/halina_v1-000002-state", "--skip_until_initial_step"' in called


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda p: append(p, 'training_comment = "<tune>"'), "placeholders above"),
        (lambda p: append(p, 'training_comment = ["<tune:x>"]'), "has errors"),
        (lambda p: append(p, "network_dimm = 3"), "has errors"),
        (lambda p: (p / "pictures" / "10_halina" / "000.txt").unlink(), "the pictures have errors"),
        (lambda p: (p / "lora.toml").unlink(), "does not exist"),
        (lambda p: (p.parent / "sd scripts" / "sdxl_train_network.py").unlink(), "no checkout of sd-scripts"),
    ],
)
def test_nothing_is_started_while_something_is_wrong(place: Path, spoil, said: str) -> None:
    spoil(place)
    ran = train(place)
    assert ran.returncode == 1
    assert said in ran.stderr
    assert not (place / "called.json").exists()


def test_checking_alone_starts_nothing(place: Path) -> None:
    ran = train(place, "--check")
    assert ran.returncode == 0, ran.stderr
    assert "nothing was started" in ran.stdout
    assert not (place / "called.json").exists()


def append(place: Path, line: str) -> None:
    with (place / "lora.toml").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
