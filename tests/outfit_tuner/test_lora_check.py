"""A LoRA of another lineage is refused before its weights are read; a checkpoint is hashed only where that tells."""

from pathlib import Path

import pytest

from comfy_nodes.outfit_tuner.file_hashes import FileHashes
from comfy_nodes.outfit_tuner.lineage import Lineage
from comfy_nodes.outfit_tuner.lora_check import LineageError, describe_lineage, require_lineage
from comfy_nodes.outfit_tuner.safetensors_header import ModelFileError
from comfy_nodes.outfit_tuner.unet_size import UnetSize
from tests.outfit_tuner import model_files as files

SDXL = UnetSize(2048, files.SDXL_WIDTHS)
OTHER = "ab" * 32
PONY = "67ab2fd8ec439a89b3fedb15cc65f54336af163c7eb5e4f2acc98f090a29b0b3"


class CountedHashes(FileHashes):
    """Hashes that are what a test says, and how many were asked for."""

    def __init__(self, sha256: str = "0" * 64, *, known: bool = False) -> None:
        super().__init__(None)
        self.counted = 0
        self._answer = sha256
        self._known = known

    def known(self, path: Path) -> str | None:
        return self._answer if self._known or self.counted else None

    def sha256(self, path: Path, progress: object = None) -> str:
        self.counted += 1
        return self._answer


def lora(folder: Path, **metadata: str) -> Path:
    return files.write_sparse(folder / "halina_v1.safetensors", files.lora(2048, text_encoders=2), metadata=metadata)


def checkpoint(folder: Path, name: str = "mix.safetensors", **metadata: str) -> Path:
    return files.write_sparse(folder / name, files.SDXL_UNET, metadata=metadata)


@pytest.mark.parametrize(
    ("trained_on", "name", "sha256", "hashed", "says"),
    [
        ({}, "mix.safetensors", PONY, 0, None),  # names no base: nothing to compare
        ({"ss_sd_model_name": "ponyV6"}, "ponyMix.safetensors", "0" * 64, 0, None),
        ({"ss_sd_model_name": "ponyV6"}, "mix.safetensors", PONY, 1, None),
        ({"ss_sd_model_name": "ponyV6"}, "mix.safetensors", "0" * 64, 1, None),
        (
            {"ss_sd_model_name": "illustriousXL"},
            "mix.safetensors",
            PONY,
            1,
            "halina_v1.safetensors was trained on Illustrious .* the checkpoint is Pony Diffusion .*its hash says so",
        ),
        ({"ss_sd_model_name": "illustriousXL"}, "pony.safetensors", "0" * 64, 1, "its file name says so"),
        # the name says Pony and the hash says that it was trained on this very file
        (
            {"ss_sd_model_name": "illustriousXL", "ss_new_sd_model_hash": "ab" * 32},
            "pony.safetensors",
            "ab" * 32,
            1,
            None,
        ),
    ],
)
def test_the_checkpoint_is_hashed_where_that_tells(
    tmp_path: Path, trained_on: dict[str, str], name: str, sha256: str, hashed: int, says: str | None
) -> None:
    hashes = CountedHashes(sha256)
    arguments = ("halina_v1.safetensors", lora(tmp_path, **trained_on), checkpoint(tmp_path, name), SDXL, hashes)
    if says is None:
        require_lineage(*arguments)
    else:
        with pytest.raises(LineageError, match=says):
            require_lineage(*arguments)
    assert hashes.counted == hashed


def test_what_was_trained_on_this_very_file_goes_on_it_whatever_both_say(tmp_path: Path) -> None:
    path = lora(tmp_path, ss_sd_model_name="illustriousXL", ss_new_sd_model_hash=OTHER)
    base = checkpoint(tmp_path, **{"modelspec.title": "Pony"})
    require_lineage("a", path, base, SDXL, CountedHashes(OTHER))
    with pytest.raises(LineageError, match="its header says so"):
        require_lineage("a", path, base, SDXL, CountedHashes("cd" * 32))


def test_a_remembered_hash_is_used(tmp_path: Path) -> None:
    hashes = CountedHashes(PONY, known=True)
    with pytest.raises(LineageError, match=r"its hash says so\): use a version trained for this checkpoint, or allow"):
        require_lineage("a", lora(tmp_path, ss_sd_model_name="illustriousXL"), checkpoint(tmp_path), SDXL, hashes)
    assert hashes.counted == 0


def test_without_a_file_the_models_layers_tell(tmp_path: Path) -> None:
    path = lora(tmp_path, ss_sd_model_name="ponyV6")
    assert require_lineage("a", path, None, SDXL, CountedHashes()).family == "pony"
    assert require_lineage("a", path, None, None, CountedHashes()).family == "pony"
    with pytest.raises(LineageError, match="a was trained for SDXL, and the checkpoint is Stable Diffusion 1"):
        require_lineage("a", path, None, UnetSize(768, files.SD15_WIDTHS), CountedHashes())


def test_a_pickled_checkpoint_is_never_opened(tmp_path: Path) -> None:
    pickled = tmp_path / "illustrious.ckpt"
    pickled.write_bytes(b"PK\x03\x04")
    with pytest.raises(LineageError, match=r"the checkpoint is Illustrious \(SDXL\) \(its file name says so"):
        require_lineage("a", lora(tmp_path, ss_sd_model_name="ponyV6"), pickled, SDXL, CountedHashes())


def test_what_is_no_lora_is_refused(tmp_path: Path) -> None:
    path = files.write_sparse(tmp_path / "a.safetensors", files.SDXL_UNET)
    with pytest.raises(ModelFileError, match="no LoRA"):
        require_lineage("a", path, None, SDXL, CountedHashes())


@pytest.mark.parametrize(
    ("lineage", "text"),
    [
        (Lineage(), "trained on a base it does not name"),
        (Lineage(2048), "trained on SDXL"),
        (Lineage(2048, "pony"), "trained on Pony Diffusion (SDXL)"),
        (Lineage(None, "flux1"), "trained on flux1"),
    ],
)
def test_it_says_what_it_was_trained_on(lineage: Lineage, text: str) -> None:
    assert describe_lineage(lineage) == text
