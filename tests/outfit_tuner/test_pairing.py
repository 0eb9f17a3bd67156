"""An adapter and an encoder as one pair: chosen, or found by what fits the checkpoint."""

from collections.abc import Callable
from pathlib import Path

import pytest

from comfy_nodes.outfit_tuner.adapters import read_layout
from comfy_nodes.outfit_tuner.fit import MisfitError, Shelf
from comfy_nodes.outfit_tuner.pairing import AUTO, choose_pair, survey
from comfy_nodes.outfit_tuner.safetensors_header import ModelFileError
from comfy_nodes.outfit_tuner.unet_size import UnetSize
from tests.outfit_tuner import model_files as files

SD15, SDXL = UnetSize(768, files.SD15_WIDTHS), UnetSize(2048, files.SDXL_WIDTHS)
PLUS_SDXL = "3f5062b8400c94b7159665b21ba5c62acdcd7682262743d7f2aefedef00e6581"


@pytest.fixture
def adapters(tmp_path: Path) -> Shelf:
    folder = tmp_path / "ipadapter"
    names = ("ip-adapter_sd15", "ip-adapter_sdxl", "ip-adapter-plus_sdxl_vit-h")
    return Shelf(
        {f"{n}.safetensors": files.write_sparse(folder / f"{n}.safetensors", files.PUBLISHED[n]) for n in names}
    )


@pytest.fixture
def encoders(tmp_path: Path) -> Shelf:
    folder = tmp_path / "clip_vision"
    shapes = {"g.safetensors": files.VIT_BIGG, "h.safetensors": files.VIT_H}
    return Shelf({name: files.write_sparse(folder / name, shape) for name, shape in shapes.items()}, ("old.bin",))


def never(path: Path) -> str:
    raise AssertionError(f"{path} need not be hashed")


def hashes(known: dict[str, str]) -> Callable[[Path], str]:
    return lambda path: known.get(path.name, "0" * 64)


@pytest.mark.parametrize(
    ("adapter", "encoder", "unet", "chosen"),
    [
        (AUTO, AUTO, SDXL, ("ip-adapter-plus_sdxl_vit-h.safetensors", "h.safetensors")),
        (AUTO, AUTO, SD15, ("ip-adapter_sd15.safetensors", "h.safetensors")),
        ("ip-adapter_sdxl.safetensors", AUTO, None, ("ip-adapter_sdxl.safetensors", "g.safetensors")),
        ("ip-adapter_sdxl.safetensors", "g.safetensors", SDXL, ("ip-adapter_sdxl.safetensors", "g.safetensors")),
    ],
)
def test_the_pair_that_fits(
    adapters: Shelf, encoders: Shelf, adapter: str, encoder: str, unet: UnetSize | None, chosen: tuple[str, str]
) -> None:
    pair = choose_pair(adapter, encoder, unet, adapters, encoders, never)
    assert (pair.adapter, pair.encoder) == chosen
    assert (pair.adapter_path, pair.encoder_path) == (adapters.files[chosen[0]], encoders.files[chosen[1]])


@pytest.mark.parametrize(
    ("adapter", "encoder", "unet", "says"),
    [
        (
            "ip-adapter_sd15.safetensors",
            AUTO,
            SDXL,
            "made for Stable Diffusion 1.5, and the checkpoint is SDXL: use ip-",
        ),
        ("ip-adapter_sdxl.safetensors", "h.safetensors", SDXL, "works with CLIP ViT-bigG, .* use g.safetensors"),
        (AUTO, AUTO, None, "depends on the checkpoint: connect the model, or choose .* or ip-adapter-plus_sdxl_vit-h"),
        (AUTO, AUTO, UnetSize(1024, (320,)), "No IP-Adapter for Stable Diffusion 2: there is no published IP-Adapter"),
        (AUTO, "gone.safetensors", SDXL, "no gone.safetensors in the clip_vision folder: choose another"),
        (AUTO, "old.bin", SDXL, "old.bin is a pickled PyTorch file, which can run code"),
        ("gone.safetensors", AUTO, SDXL, "no gone.safetensors in the ipadapter folder"),
    ],
)
def test_what_does_not_fit_is_refused(
    adapters: Shelf, encoders: Shelf, adapter: str, encoder: str, unet: UnetSize | None, says: str
) -> None:
    with pytest.raises(ModelFileError, match=says):
        choose_pair(adapter, encoder, unet, adapters, encoders, never)


def test_empty_folders_say_what_is_missing(adapters: Shelf) -> None:
    nothing = Shelf({}, ("ip-adapter_sd15.bin",))
    with pytest.raises(
        MisfitError, match=r"no IP-Adapter in the ipadapter folder \(pickled files such as ip-adapter_sd15"
    ):
        choose_pair(AUTO, AUTO, None, nothing, nothing, never)
    with pytest.raises(MisfitError, match="needs CLIP ViT-H: no file in the clip_vision folder fits"):
        choose_pair(AUTO, AUTO, SD15, adapters, Shelf({}), never)


def test_plus_and_plus_face_have_the_same_shapes_so_their_hashes_decide(tmp_path: Path, encoders: Shelf) -> None:
    shapes = files.PUBLISHED["ip-adapter-plus_sdxl_vit-h"]
    twins = Shelf({name: files.write_sparse(tmp_path / name, shapes) for name in ("a.safetensors", "b.safetensors")})
    assert (
        choose_pair(AUTO, AUTO, SDXL, twins, encoders, hashes({"b.safetensors": PLUS_SDXL})).adapter == "b.safetensors"
    )
    with pytest.raises(MisfitError, match="Several IP-Adapters fit, and none is a usual one: choose a"):
        choose_pair(AUTO, AUTO, SDXL, twins, encoders, hashes({}))


def test_the_survey_says_what_fits_and_why_the_rest_does_not(adapters: Shelf, encoders: Shelf, tmp_path: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"")
    shown = survey(
        SDXL,
        read_layout(adapters.files["ip-adapter_sdxl.safetensors"]),
        Shelf({**adapters.files, "broken.safetensors": broken}),
        encoders,
    )
    assert shown.splitlines() == [
        "IP-Adapters:",
        "  ✗ ip-adapter_sd15.safetensors is made for Stable Diffusion 1.5, and the checkpoint is SDXL",
        "  ✓ ip-adapter_sdxl.safetensors: plain, 4 tokens, for SDXL with CLIP ViT-bigG",
        "  ✓ ip-adapter-plus_sdxl_vit-h.safetensors: plus, 16 tokens, for SDXL with CLIP ViT-H",
        "  ✗ broken.safetensors is empty: download it again.",
        "Image encoders:",
        "  ✓ g.safetensors: CLIP ViT-bigG",
        "  ✗ h.safetensors: CLIP ViT-H, not CLIP ViT-bigG",
        "  ✗ old.bin is a pickled file, which is never opened",
    ]
