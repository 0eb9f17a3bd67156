"""The keys against the trainer itself: its source where a checkout is given, and its parser where that can be run.

`SD_SCRIPTS_DIR` names a checkout of kohya-ss/sd-scripts, `SD_SCRIPTS_PYTHON` a Python that has its requirements.
"""

import json
import os
import random
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from server.training.buckets import Buckets
from server.training.findings import TrainingError
from server.training.keys import Key, known_keys
from server.training.trainer_source import read_keys

DUMP = """
import json, sys
sys.path.insert(0, ".")
import sdxl_train_network
parser = sdxl_train_network.setup_parser()
asked = json.load(sys.stdin)
verdicts = {}
for name, values in asked.items():
    action = parser._option_string_actions["--" + name]
    verdicts[name] = []
    for value in values:
        words = ["--" + name] if action.nargs == 0 else ["--" + name, *value]
        try:
            parser.parse_args(words)
            verdicts[name].append(True)
        except SystemExit:
            verdicts[name].append(False)
names = [action.dest for action in parser._actions if action.dest != "help"]
json.dump({"names": names, "verdicts": verdicts}, open(1, "w"))
"""


@pytest.fixture(scope="module")
def checkout() -> Path:
    named = os.environ.get("SD_SCRIPTS_DIR", "")
    path = Path(named or Path.home() / "sd-scripts")
    if not (path / "sdxl_train_network.py").is_file():
        pytest.skip("NO SD-SCRIPTS: set SD_SCRIPTS_DIR to a checkout of kohya-ss/sd-scripts")
    return path


def test_the_keys_are_those_of_the_checkout(checkout: Path) -> None:
    commit = subprocess.run(["git", "-C", checkout, "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    if commit and commit != known_keys().commit:
        pytest.skip(f"the checkout is at {commit[:12]}, the data at {known_keys().commit[:12]}")
    assert read_keys(checkout) == known_keys().by_name


def test_the_trainers_own_parser_has_the_same_verdict_on_every_key(checkout: Path) -> None:
    python = os.environ.get("SD_SCRIPTS_PYTHON")
    if python is None:
        pytest.skip("NO SD-SCRIPTS PYTHON: set SD_SCRIPTS_PYTHON to a Python that has sd-scripts' requirements")
    keys = known_keys().by_name
    asked = {name: [as_text(value) for value in values_for(key)] for name, key in keys.items()}
    ran = subprocess.run(
        [python, "-c", DUMP], cwd=checkout, input=json.dumps(asked), capture_output=True, text=True, timeout=100
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    said = json.loads(ran.stdout[ran.stdout.index("{") :])
    assert set(said["names"]) == set(keys)
    ours = {name: [key.takes(value) for value in values_for(key)] for name, key in keys.items()}
    assert ours == said["verdicts"]


BUCKETS = """
import json, sys
sys.path.insert(0, ".")
from library.train_util import BucketManager
sizes, found = json.load(sys.stdin), []
for no_upscale in (False, True):
    manager = BucketManager(no_upscale, (1024, 1024), 512, 2048, 64)
    if not no_upscale:
        manager.make_buckets()
    found.append([manager.select_bucket(*size)[0] for size in sizes])
json.dump(found, open(1, "w"))
"""


def test_the_trainers_own_buckets_are_ours(checkout: Path) -> None:
    python = os.environ.get("SD_SCRIPTS_PYTHON")
    if python is None:
        pytest.skip("NO SD-SCRIPTS PYTHON: set SD_SCRIPTS_PYTHON to a Python that has sd-scripts' requirements")
    rng = random.Random(1)
    sizes = [(rng.randrange(300, 5000), rng.randrange(300, 5000)) for _ in range(400)] + [(1024, 1024), (832, 1216)]
    ran = subprocess.run(
        [python, "-c", BUCKETS], cwd=checkout, input=json.dumps(sizes), capture_output=True, text=True, timeout=100
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    said = json.loads(ran.stdout[ran.stdout.index("[[") :])
    for upscale, theirs in zip((True, False), said, strict=True):
        ours = Buckets((1024, 1024), 512, 2048, 64, upscale=upscale)
        assert [list(ours.of(size).bucket) for size in sizes] == theirs


def values_for(key: Key) -> list[Any]:
    """Values as TOML has them, good and bad; on a command line, where all is text, they mean the same."""
    match key.kind:
        case "flag":
            return [True]
        case "integer":
            values = [key.choices[0] if key.choices else 7, 987, 1.5, "many"]
        case "number":
            values = [0.5, 3, "much"]
        case "text":
            values = [key.choices[0] if key.choices else "x"]
            values += ["fp61"] if key.choices else []
    return [[one] for one in values] if key.many else values


def as_text(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


SOURCES: Mapping[str, str] = {
    "sdxl_train_network.py": """
import argparse
import train_network
from library import util


def setup_parser() -> argparse.ArgumentParser:
    parser = train_network.setup_parser()
    util.add_more(parser)
    return parser
""",
    "train_network.py": """
import argparse
from library import util
from library.logs import add_logging_arguments

KINDS = ["a", None, "b"]


def setup_parser():
    parser = argparse.ArgumentParser()
    add_logging_arguments(parser)
    util.add_some(parser, False)
    parser.add_argument("--kind", type=str, default=None, choices=KINDS)
    return parser
""",
    "library/util.py": """
def add_some(parser, fine_tuning: bool, captions: bool = True):
    parser.add_argument("--rates", type=float, nargs="*", default=None)
    if fine_tuning:
        parser.add_argument("--never", type=int)
    if captions:
        parser.add_argument("--caption-dropout", type=float, default=0.5)


def add_more(parser):
    parser.add_argument("--cache", action="store_true")
""",
    "library/logs.py": """
def add_logging_arguments(parser):
    parser.add_argument("--log", type=str, default="x")
""",
}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    for name, text in SOURCES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def test_the_parser_is_followed_through_its_functions(small: Path) -> None:
    assert list(read_keys(small).values()) == [
        Key("log", "text", False, (), "x"),
        Key("rates", "number", True, (), None),
        Key("caption_dropout", "number", False, (), 0.5),
        Key("kind", "text", False, ("a", "b"), None),
        Key("cache", "flag", False, (), False),
    ]


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("library/util.py", "def add_some(parser, a):\n    pass", "no function add_more"),
        ("library/logs.py", "def add_logging_arguments(parser):\n    parser.add_argument('--x', type=odd)", "a type"),
        ("library/logs.py", "def (", "cannot be read"),
        ("train_network.py", "def setup_parser():\n    pass", "not known here"),
    ],
)
def test_a_parser_that_is_built_otherwise_is_refused(small: Path, file: str, text: str, said: str) -> None:
    (small / file).write_text(text, encoding="utf-8")
    if file == "train_network.py":
        (small / "library/util.py").write_text("def add_more(parser):\n    pass\n", encoding="utf-8")
    with pytest.raises(TrainingError, match=said):
        read_keys(small)


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no checkout of sd-scripts"):
        read_keys(tmp_path)
