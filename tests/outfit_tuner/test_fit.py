"""What belongs together is told by shapes; what does not is refused with the files that would fit."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from comfy_nodes.outfit_tuner.adapters import Layout, read_layout
from comfy_nodes.outfit_tuner.encoder_size import EncoderSize, encoder_name, read_encoder_size
from comfy_nodes.outfit_tuner.fit import (
    MisfitError,
    Shelf,
    adapter_misfit,
    encoder_misfit,
    fitting_adapters,
    fitting_encoders,
    require_adapter,
    require_encoder,
)
from comfy_nodes.outfit_tuner.safetensors_header import ModelFileError
from comfy_nodes.outfit_tuner.unet_size import UnetSize, model_size, read_unet_size
from tests.outfit_tuner import model_files as files

SD15, SDXL = UnetSize(768, files.SD15_WIDTHS), UnetSize(2048, files.SDXL_WIDTHS)
VIT_H, VIT_BIGG = EncoderSize(1280, 1024, 257), EncoderSize(1664, 1280, 257)


def shelf(folder: Path, shapes: Mapping[str, files.Shapes], pickled: tuple[str, ...] = ()) -> Shelf:
    return Shelf({name: files.write_sparse(folder / name, shape) for name, shape in shapes.items()}, pickled)


@pytest.mark.parametrize(
    ("shapes", "size"),
    [
        (files.SD15_UNET, SD15),
        (files.SDXL_UNET, SDXL),
        (files.unet(64, {"middle_block.1.transformer_blocks.0": 32}, prefix=""), UnetSize(64, (32,))),
    ],
)
def test_a_checkpoints_cross_attention_is_read_in_the_adapters_order(
    tmp_path: Path, shapes: files.Shapes, size: UnetSize
) -> None:
    shuffled = dict(reversed(shapes.items())) | {"model.diffusion_model.out.0.weight": (320,)}
    assert read_unet_size(files.write_sparse(tmp_path / "a.safetensors", shuffled)) == size


def test_a_checkpoint_of_another_kind_is_refused(tmp_path: Path) -> None:
    shapes = {"model.diffusion_model.double_blocks.0.img_attn.qkv.weight": (96, 32)}
    with pytest.raises(ModelFileError, match=r"no UNet of Stable Diffusion 1\.5 or SDXL"):
        read_unet_size(files.write_sparse(tmp_path / "flux.safetensors", shapes))


def test_a_loaded_unet_is_read_from_its_layers() -> None:
    class Attention(torch.nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.to_k = torch.nn.Linear(48, width, bias=False)

    class Layer(torch.nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.attn1, self.attn2 = Attention(width), Attention(width)

    class Block(torch.nn.Module):
        def __init__(self, *widths: int) -> None:
            super().__init__()
            self.transformer_blocks = torch.nn.ModuleList(map(Layer, widths))

    class Unet(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.input_blocks = torch.nn.ModuleList(
                [torch.nn.Sequential(torch.nn.Identity(), Block(width, width + 1)) for width in (8, 10)]
            )
            self.middle_block = torch.nn.Sequential(torch.nn.Identity(), Block(30))
            self.output_blocks = torch.nn.ModuleList([torch.nn.Sequential(torch.nn.Identity(), Block(20))])

    assert model_size(Unet()) == UnetSize(48, (8, 9, 10, 11, 20, 30))
    assert model_size(torch.nn.Linear(2, 2)) is None


@pytest.mark.parametrize(
    ("shapes", "size", "name"),
    [
        (files.VIT_H, VIT_H, "CLIP ViT-H"),
        (files.VIT_BIGG, VIT_BIGG, "CLIP ViT-bigG"),
        (files.VIT_BIGG_OPEN_CLIP, VIT_BIGG, "CLIP ViT-bigG"),
        (files.VIT_L, EncoderSize(1024, 768, 257), "CLIP ViT-L"),
        (files.clip_vision(64, 3, 48, 128, 50), EncoderSize(64, 48, 50), "64 hidden and 48 pooled channels"),
    ],
)
def test_encoders_are_known_by_their_shapes(tmp_path: Path, shapes: files.Shapes, size: EncoderSize, name: str) -> None:
    assert read_encoder_size(files.write_sparse(tmp_path / "a.safetensors", shapes)) == size
    assert name in encoder_name(size)


@pytest.mark.parametrize(
    "name",
    [
        "vision_model.encoder.layers.3.mlp.fc2.bias",
        "vision_model.pre_layrnorm.weight",
        "vision_model.embeddings.class_embedding",
    ],
)
def test_an_encoder_that_lacks_a_part_is_refused(tmp_path: Path, name: str) -> None:
    shapes = {key: shape for key, shape in files.clip_vision(64, 5, 48, 128).items() if key != name}
    with pytest.raises(ModelFileError, match=f"no whole image encoder, it lacks {name}: download it again"):
        read_encoder_size(files.write_sparse(tmp_path / "a.safetensors", shapes))


def test_an_encoder_that_lacks_a_layer_is_refused(tmp_path: Path) -> None:
    shapes = {key: shape for key, shape in files.clip_vision(64, 5, 48, 128).items() if ".layers.2." not in key}
    with pytest.raises(ModelFileError, match=r"it lacks vision_model.encoder.layers.2"):
        read_encoder_size(files.write_sparse(tmp_path / "a.safetensors", shapes))


def test_what_is_no_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no CLIP image encoder: choose a file from the clip_vision folder"):
        read_encoder_size(files.write_sparse(tmp_path / "a.safetensors", files.SD15_UNET))


FITS = {  # adapter: (base, encoder)
    "ip-adapter_sd15": (SD15, VIT_H),
    "ip-adapter_sd15_vit-G": (SD15, VIT_BIGG),
    "ip-adapter-plus_sd15": (SD15, VIT_H),
    "ip-adapter-full-face_sd15": (SD15, VIT_H),
    "ip-adapter_sdxl": (SDXL, VIT_BIGG),
    "ip-adapter_sdxl_vit-h": (SDXL, VIT_H),
    "ip-adapter-plus_sdxl_vit-h": (SDXL, VIT_H),
}


@pytest.mark.parametrize("name", FITS)
def test_each_published_adapter_fits_its_base_and_its_encoder_only(tmp_path: Path, name: str) -> None:
    layout = read_layout(files.write_sparse(tmp_path / "a.safetensors", files.PUBLISHED[name]))
    for unet in (SD15, SDXL):
        assert (adapter_misfit(layout, unet) is None) == (unet is FITS[name][0])
    for encoder in (VIT_H, VIT_BIGG, EncoderSize(1024, 768, 257)):
        assert (encoder_misfit(layout, encoder) is None) == (encoder is FITS[name][1])


def test_a_pruned_unet_is_refused_by_its_layers() -> None:
    layout = Layout("plain", 1024, 2048, 4, files.SDXL_WIDTHS)
    assert adapter_misfit(layout, UnetSize(2048, files.SDXL_WIDTHS[:40])) == (
        "is made for a UNet with 70 cross-attention layers, and the checkpoint's has 40 "
        "(it is a pruned or a changed SDXL)"
    )
    other = (*files.SDXL_WIDTHS[:-1], 64)
    assert adapter_misfit(layout, UnetSize(2048, other)) == (
        "is made for a UNet with other layers than the checkpoint's SDXL"
    )


def test_a_misfit_names_the_files_here_that_fit(tmp_path: Path) -> None:
    adapters = shelf(tmp_path, {f"{name}.safetensors": shapes for name, shapes in files.PUBLISHED.items()})
    layout = read_layout(adapters.files["ip-adapter_sd15.safetensors"])
    with pytest.raises(MisfitError) as refusal:
        require_adapter("ip-adapter_sd15.safetensors", layout, SDXL, adapters)
    assert str(refusal.value) == (
        "ip-adapter_sd15.safetensors is made for Stable Diffusion 1.5, and the checkpoint is SDXL: use "
        "ip-adapter_sdxl.safetensors, ip-adapter_sdxl_vit-h.safetensors, ip-adapter-plus_sdxl_vit-h.safetensors."
    )


def test_names_say_nothing(tmp_path: Path) -> None:
    """An adapter for SDXL under a name for SD1.5 is found by what is in it."""
    adapters = shelf(
        tmp_path,
        {
            "ip-adapter_sd15.safetensors": files.PUBLISHED["ip-adapter_sdxl_vit-h"],
            "sdxl.safetensors": files.PUBLISHED["ip-adapter_sd15"],
            "no adapter.safetensors": files.SD15_UNET,
        },
    )
    (tmp_path / "broken.safetensors").write_bytes(b"PK\x03\x04")
    adapters = Shelf({"broken.safetensors": tmp_path / "broken.safetensors", **adapters.files})
    assert fitting_adapters(SDXL, adapters) == ["ip-adapter_sd15.safetensors"]
    assert fitting_adapters(SD15, adapters) == ["sdxl.safetensors"]
    encoders = shelf(tmp_path, {"g.safetensors": files.VIT_BIGG, "model.safetensors": files.VIT_H})
    assert fitting_encoders(Layout("plain", 1280, 2048, 4, ()), encoders) == ["g.safetensors"]
    assert fitting_encoders(Layout("plus", 1280, 2048, 16, ()), encoders) == ["model.safetensors"]


def test_where_none_fits_it_says_what_to_download(tmp_path: Path) -> None:
    empty = Shelf({}, ("ip-adapter_sdxl.bin",))
    layout = Layout("plus", 1280, 768, 16, files.SD15_WIDTHS)
    with pytest.raises(MisfitError) as refusal:
        require_adapter("a.safetensors", layout, SDXL, empty)
    assert str(refusal.value) == (
        "a.safetensors is made for Stable Diffusion 1.5, and the checkpoint is SDXL: no file in the ipadapter folder "
        "fits (pickled files such as ip-adapter_sdxl.bin are never opened), download "
        "sdxl_models/ip-adapter-plus_sdxl_vit-h.safetensors of h94/IP-Adapter into it."
    )
    with pytest.raises(MisfitError) as refusal:
        require_encoder("a.safetensors", layout, VIT_BIGG, Shelf({}))
    assert str(refusal.value) == (
        "a.safetensors works with CLIP ViT-H, and this encoder is CLIP ViT-bigG: no file in the clip_vision folder "
        "fits, download models/image_encoder/model.safetensors of h94/IP-Adapter into it."
    )
    with pytest.raises(MisfitError, match="no published IP-Adapter for the SDXL refiner, use another checkpoint"):
        require_adapter("a.safetensors", layout, UnetSize(1280, (1280,)), empty)
