"""The presets are what the checker calls good once their slots are filled, and every number has its reason."""

import re
import tomllib
from pathlib import Path

import pytest

from server.training.check_config import check_config
from tests.training.pictures import good_dataset

FOLDER = Path(__file__).parents[2] / "kohya_presets"
FILLED = sorted(FOLDER.glob("*-*gb.toml"))
OPEN = {"pretrained_model_name_or_path", "train_data_dir", "output_dir", "output_name"}
VALUES = {
    "pretrained_model_name_or_path": "base.safetensors",
    "train_data_dir": "pictures",
    "output_dir": "out",
    "output_name": "halina_v1",
    "network_dim": 16,
    "network_alpha": 8,
    "learning_rate": 1e-4,
    "optimizer_type": "AdamW8bit",
    "max_train_epochs": 10,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training")
    (folder / "base.safetensors").touch()
    good_dataset(folder / "pictures")
    (folder / "sample_prompts.txt").write_bytes((FOLDER / "sample_prompts.txt").read_bytes())
    return folder


def filled(text: str) -> str:
    def value(match: re.Match[str]) -> str:
        given = VALUES[match[1]]
        return f'{match[1]} = "{given}"' if isinstance(given, str) else f"{match[1]} = {given}"

    return re.sub(r'^(\w+) = "<tune>"', value, text, flags=re.MULTILINE)


def test_there_is_one_for_each_style_and_card() -> None:
    assert [path.stem for path in FILLED] == ["anime-12gb", "anime-24gb", "realistic-12gb", "realistic-24gb"]


@pytest.mark.parametrize("path", [*FILLED, FOLDER / "template.toml"], ids=lambda path: path.stem)
def test_nothing_is_said_of_a_preset_with_its_slots_filled(path: Path, folder: Path) -> None:
    (folder / "lora.toml").write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
    checked = check_config(folder / "lora.toml")
    assert [str(one) for one in checked.findings] == []
    assert checked.estimate is not None
    assert 800 <= checked.estimate.steps <= 3_000


@pytest.mark.parametrize("path", FILLED, ids=lambda path: path.stem)
def test_a_starting_point_leaves_open_only_what_nobody_else_can_know(path: Path) -> None:
    sections = tomllib.loads(path.read_text(encoding="utf-8"))
    values = {name: value for section in sections.values() for name, value in section.items()}
    assert {name for name, value in values.items() if value == "<tune>"} == OPEN


@pytest.mark.parametrize("path", FILLED, ids=lambda path: path.stem)
def test_every_number_has_its_reason_beside_it(path: Path) -> None:
    for line in path.read_text(encoding="utf-8").splitlines():
        if re.match(r"\w+ = -?[0-9]", line):
            assert re.search(r"# .{12,}", line), line


def test_sample_prompts_name_nobody_and_are_the_same_each_time() -> None:
    lines = (FOLDER / "sample_prompts.txt").read_text(encoding="utf-8").splitlines()
    prompts = [line for line in lines if not line.startswith("#")]
    assert len(prompts) >= 4
    for prompt in prompts:
        assert "<" not in prompt
        assert re.search(r"--d \d+", prompt)
        width, height = (int(re.search(rf"--{side} (\d+)", prompt)[1]) for side in "wh")  # type: ignore[index]
        assert width % 32 == height % 32 == 0
