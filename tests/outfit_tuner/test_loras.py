"""Characters, versions and the live one, by where the files lie."""

import json
import multiprocessing
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from comfy_nodes.outfit_tuner.lora_weights import LORA_WEIGHTS, read_weights
from comfy_nodes.outfit_tuner.loras import POINTER, LoraError, find_characters, resolve, set_live
from comfy_nodes.outfit_tuner.safetensors_header import ModelFileError
from tests.outfit_tuner import model_files as files


def folder(root: Path, *names: str) -> dict[str, Path]:
    """ComfyUI's listing of a loras folder with these files."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return {name: root / name for name in names}


def test_versions_are_found_in_both_layouts_and_other_loras_are_left_alone(tmp_path: Path) -> None:
    listing = folder(
        tmp_path,
        "halina_v1.safetensors",
        "halina_v10.safetensors",
        "halina_v2.safetensors",
        "people/Ania Kowalska/v1.safetensors",
        "people/Ania Kowalska/v2.sft",
        "стиль_v3.safetensors",
        "detail_tweaker.safetensors",
        "halina_v03.safetensors",
        "v1.safetensors",
        "halina_v4.ckpt",
    )
    characters = find_characters(listing)
    assert {name: list(found.versions) for name, found in characters.items()} == {
        "Ania Kowalska": [1, 2],
        "halina": [1, 2, 10],
        "стиль": [3],
    }
    assert characters["Ania Kowalska"].versions[2].name == "people/Ania Kowalska/v2.sft"


def test_windows_separators_are_separators(tmp_path: Path) -> None:
    characters = find_characters({"people\\halina\\v2.safetensors": tmp_path / "v2.safetensors"})
    assert characters["halina"].versions[2].name == "people/halina/v2.safetensors"


@pytest.mark.parametrize(("version", "number"), [("live", 10), ("Live", 10), (" 2", 2), ("v1", 1), ("V10", 10)])
def test_a_version_is_a_number_or_the_live_one(tmp_path: Path, version: str, number: int) -> None:
    characters = find_characters(folder(tmp_path, *(f"halina_v{n}.safetensors" for n in (1, 2, 10))))
    assert resolve(characters, "halina", version) == (number, characters["halina"].versions[number])


def test_live_is_what_the_pointer_says_and_else_the_highest(tmp_path: Path) -> None:
    listing = folder(
        tmp_path, "halina_v1.safetensors", "halina_v2.safetensors", "wen/v1.safetensors", "wen/v2.safetensors"
    )
    characters = find_characters(listing)
    assert [found.live() for found in characters.values()] == [2, 2]
    set_live(characters["halina"], 1)
    set_live(characters["wen"], 1)
    assert [found.live() for found in characters.values()] == [1, 1]
    assert json.loads((tmp_path / POINTER).read_text()) == {"halina": 1}
    assert json.loads((tmp_path / "wen" / POINTER).read_text()) == {"wen": 1}
    set_live(characters["halina"], 2)
    assert find_characters(listing)["halina"].live() == 2


def test_making_one_live_leaves_the_others_entries(tmp_path: Path) -> None:
    characters = find_characters(folder(tmp_path, "a_v1.safetensors", "a_v2.safetensors", "b_v1.safetensors"))
    set_live(characters["a"], 1)
    set_live(characters["b"], 1)
    assert json.loads((tmp_path / POINTER).read_text()) == {"a": 1, "b": 1}


def test_a_character_in_two_folders_keeps_one_pointer(tmp_path: Path) -> None:
    characters = find_characters(folder(tmp_path, "old/halina_v1.safetensors", "new/halina_v2.safetensors"))
    set_live(characters["halina"], 1)
    set_live(characters["halina"], 2)
    assert characters["halina"].live() == 2
    assert len(list(tmp_path.rglob(POINTER))) == 1


@pytest.mark.parametrize(
    ("character", "version", "says"),
    [
        (
            "nobody",
            "live",
            r"no LoRA of 'nobody': put <character>_v1\.safetensors into the loras folder \(there: ",
        ),
        ("halina", "7", "no v7 of halina: choose live or one of v1, v2"),
        ("halina", "newest", "The version is 'newest': write live, or a number such as 3"),
        ("halina", "../../secret", "The version is"),
        ("halina", "0", "The version is"),
        ("twice", "1", "Two files are v1 of twice, a/twice_v1.safetensors and b/twice_v1.safetensors: rename one"),
    ],
)
def test_what_is_not_there_is_refused(tmp_path: Path, character: str, version: str, says: str) -> None:
    names = ("halina_v1.safetensors", "halina_v2.safetensors", "a/twice_v1.safetensors", "b/twice_v1.safetensors")
    with pytest.raises(LoraError, match=says):
        resolve(find_characters(folder(tmp_path, *names)), character, version)


@pytest.mark.parametrize("content", ["", "[]", '{"halina": "2"}', '{"halina": true}', "[" * 100_000, '{"halina": 9}'])
def test_a_damaged_pointer_is_never_taken_for_none(tmp_path: Path, content: str) -> None:
    characters = find_characters(folder(tmp_path, "halina_v1.safetensors"))
    (tmp_path / POINTER).write_text(content)
    with pytest.raises(LoraError, match=POINTER):
        resolve(characters, "halina", "live")
    assert resolve(characters, "halina", "1")[0] == 1


def test_live_cannot_be_a_version_that_is_not_there(tmp_path: Path) -> None:
    characters = find_characters(folder(tmp_path, "halina_v1.safetensors"))
    with pytest.raises(LoraError, match="no v2 of halina"):
        set_live(characters["halina"], 2)


def test_a_folder_that_cannot_be_written_to_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    characters = find_characters(folder(tmp_path, "halina_v1.safetensors"))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(LoraError, match=r"live\.json cannot be written \(Read-only file system\): check the folder"):
        set_live(characters["halina"], 1)
    assert not (tmp_path / POINTER).exists()
    assert not list(tmp_path.glob("*.part"))


def _go_live(root: Path, own: str) -> None:
    characters = find_characters({path.name: path for path in root.glob("*.safetensors")})
    for name in sorted(name for name in characters if name.startswith(own)):
        set_live(characters[name], 1)


def test_two_processes_that_make_versions_live_at_once_lose_none(tmp_path: Path) -> None:
    names = [f"{own}{at}" for own in "ab" for at in range(20)]
    folder(tmp_path, *(f"{name}_v{version}.safetensors" for name in names for version in (1, 2)))
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_go_live, args=(tmp_path, own)) for own in "ab"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert json.loads((tmp_path / POINTER).read_text()) == dict.fromkeys(sorted(names), 1)


def test_weights_are_read_once_and_anew_after_the_file_changed(tmp_path: Path) -> None:
    path = files.write_random(tmp_path / "a_v1.safetensors", files.lora(64), seed=1)
    first = LORA_WEIGHTS(path)
    assert LORA_WEIGHTS(path) is first
    files.write_random(path, files.lora(64), seed=2)
    os.utime(path, ns=(1, 1))
    second = LORA_WEIGHTS(path)
    assert second is not first
    name = "lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_up.weight"
    assert not torch.equal(first[name], second[name])


def test_weights_survive_a_trainer_that_writes_the_file_again(tmp_path: Path) -> None:
    path = files.write_random(tmp_path / "a_v1.safetensors", files.lora(64))
    weights = {name: weight.clone() for name, weight in read_weights(path).items()}
    held = read_weights(path)
    with path.open("r+b") as file:
        file.truncate(0)
    assert all(torch.equal(held[name], weight) for name, weight in weights.items())


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    weights = dict(files.random_weights(files.lora(64), torch.float16, 0))
    name = "lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_up.weight"
    weights[name][0, 0] = float("nan")
    save_file(weights, tmp_path / "a_v1.safetensors")
    with pytest.raises(ModelFileError, match=r"not finite .*: its training failed, use another version"):
        read_weights(tmp_path / "a_v1.safetensors")
