"""Every published layout is told from its shapes; what is none is refused before a weight is read."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from comfy_nodes.outfit_tuner.adapters import Layout, ResamplerSize, load_adapter, read_layout
from comfy_nodes.outfit_tuner.safetensors_header import ModelFileError
from tests.outfit_tuner import model_files as files

PLUS = files.plus(32, 48, (64, 96), dim=40, heads=2, depth=3, queries=5)
PLAIN = files.plain(24, 48, (64, 96))
FULL = files.full(32, 48, (64, 96))


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("ip-adapter_sd15", Layout("plain", 1024, 768, 4, files.SD15_WIDTHS)),
        ("ip-adapter_sd15_vit-G", Layout("plain", 1280, 768, 4, files.SD15_WIDTHS)),
        (
            "ip-adapter-plus_sd15",
            Layout("plus", 1280, 768, 16, files.SD15_WIDTHS, ResamplerSize(768, 4, 12, 16, 3072)),
        ),
        ("ip-adapter-full-face_sd15", Layout("full", 1280, 768, None, files.SD15_WIDTHS)),
        ("ip-adapter_sdxl", Layout("plain", 1280, 2048, 4, files.SDXL_WIDTHS)),
        ("ip-adapter_sdxl_vit-h", Layout("plain", 1024, 2048, 4, files.SDXL_WIDTHS)),
        (
            "ip-adapter-plus_sdxl_vit-h",
            Layout("plus", 1280, 2048, 16, files.SDXL_WIDTHS, ResamplerSize(1280, 4, 20, 16, 5120)),
        ),
    ],
)
def test_published_files_are_known_by_their_shapes(tmp_path: Path, name: str, layout: Layout) -> None:
    path = files.write_sparse(tmp_path / "whatever-its-name.safetensors", files.PUBLISHED[name])
    assert read_layout(path) == layout


def test_the_published_plus_file_has_the_size_the_shapes_give(tmp_path: Path) -> None:
    path = files.write_sparse(tmp_path / "a.safetensors", files.PUBLISHED["ip-adapter-plus_sdxl_vit-h"])
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    weights = path.stat().st_size - 8 - length
    assert 0 < 847_517_512 - weights < 100_000  # the published file's size: the same weights and its own header


def test_sizes_nobody_published_are_inferred_all_the_same(tmp_path: Path) -> None:
    assert read_layout(files.write_random(tmp_path / "plus.safetensors", PLUS)) == Layout(
        "plus", 32, 48, 5, (64, 96), ResamplerSize(40, 3, 2, 5, 160)
    )
    assert read_layout(files.write_random(tmp_path / "plain.safetensors", PLAIN)) == Layout(
        "plain", 24, 48, 4, (64, 96)
    )
    assert read_layout(files.write_random(tmp_path / "full.safetensors", FULL)) == Layout(
        "full", 32, 48, None, (64, 96)
    )


def test_layers_are_in_the_order_of_their_numbers_not_of_their_names(tmp_path: Path) -> None:
    widths = tuple(range(64, 64 + 12))
    path = files.write_random(tmp_path / "a.safetensors", files.plain(24, 48, widths))
    assert read_layout(path).widths == widths
    assert tuple(key.shape[0] for key, _ in load_adapter(path, "0").key_values) == widths


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("shapes", [PLUS, PLAIN, FULL], ids=["plus", "plain", "full"])
def test_the_weights_are_those_of_the_file(tmp_path: Path, shapes: files.Shapes, dtype: torch.dtype) -> None:
    path = files.write_random(tmp_path / "a.safetensors", shapes, dtype=dtype)
    adapter = load_adapter(path, "abc")
    weights = load_file(path)
    assert adapter.sha256 == "abc"
    assert adapter.layout == read_layout(path)
    assert {f"image_proj.{key}" for key in adapter.image_proj} == {key for key in weights if key.startswith("image")}
    for key, tensor in adapter.image_proj.items():
        assert tensor.dtype is dtype
        assert torch.equal(tensor, weights[f"image_proj.{key}"])
    for at, (key, value) in enumerate(adapter.key_values):
        assert torch.equal(key, weights[f"ip_adapter.{2 * at + 1}.to_k_ip.weight"])
        assert torch.equal(value, weights[f"ip_adapter.{2 * at + 1}.to_v_ip.weight"])


def test_weights_stay_in_the_files_own_pages(tmp_path: Path) -> None:
    """No second copy: every tensor is a view of one mapping of the file."""
    adapter = load_adapter(files.write_random(tmp_path / "a.safetensors", PLUS), "0")
    tensors = [*adapter.image_proj.values(), *(part for pair in adapter.key_values for part in pair)]
    size = (tmp_path / "a.safetensors").stat().st_size
    assert all(tensor.untyped_storage().nbytes() <= size for tensor in tensors)
    addresses = [tensor.data_ptr() for tensor in tensors]
    assert max(addresses) - min(addresses) < size


def test_the_other_name_of_the_layers_is_known(tmp_path: Path) -> None:
    shapes = {key.replace("ip_adapter.", "adapter_modules."): shape for key, shape in PLAIN.items()}
    path = files.write_random(tmp_path / "a.safetensors", shapes)
    assert read_layout(path).widths == (64, 96)
    assert len(load_adapter(path, "0").key_values) == 2


def _without(shapes: files.Shapes, name: str) -> files.Shapes:
    return {key: shape for key, shape in shapes.items() if key != name}


@pytest.mark.parametrize(
    ("shapes", "says"),
    [
        (files.clip_vision(64, 3, 48, 128), "is no IP-Adapter: choose a file from the ipadapter folder"),
        (files.key_values((64,), 48), "is no IP-Adapter"),
        (_without(PLAIN, "ip_adapter.3.to_v_ip.weight"), "lacks or distorts ip_adapter.3.to_k_ip.weight"),
        (_without(_without(PLAIN, "ip_adapter.1.to_k_ip.weight"), "ip_adapter.1.to_v_ip.weight"), "cross-attention"),
        (_without(PLAIN, "image_proj.norm.bias"), "lacks or distorts image_proj.norm.bias"),
        (_without(PLAIN, "image_proj.proj.weight"), "lacks or distorts image_proj.proj.weight"),
        (_without(PLUS, "image_proj.layers.1.0.to_kv.weight"), "lacks or distorts image_proj.layers.1.0.to_kv.weight"),
        (_without(PLUS, "image_proj.proj_in.weight"), "lacks or distorts image_proj.proj_in.weight"),
        (_without(FULL, "image_proj.proj.2.bias"), "lacks or distorts image_proj.proj.2.bias"),
        ({**PLAIN, "image_proj.proj.weight": (4 * 48 + 1, 24)}, "lacks or distorts image_proj.proj.weight"),
        ({**PLAIN, "ip_adapter.3.to_k_ip.weight": (96, 50)}, "lacks or distorts ip_adapter.3.to_k_ip.weight"),
        ({**PLUS, "image_proj.latents": (5, 40)}, "lacks or distorts image_proj.latents"),
        ({**PLUS, "image_proj.layers.0.0.to_q.weight": (100, 40)}, "resampler of a size that is not known"),
        ({**PLUS, "image_proj.pos_emb.weight": (257, 32)}, "has a part that is not known here"),
        ({**PLAIN, "ip_adapter.0.to_q_lora.down.weight": (4, 64)}, "recognised face"),
        ({**PLAIN, "image_proj.proj.0.weight": (1024, 512)}, "recognised face"),
        ({**PLUS, "image_proj.proj_in.weight": (40, 512)}, "recognised face"),
        (files.plus(1024, 2048, (64,), dim=2048, heads=12), "made for Kolors"),
    ],
)
def test_what_is_no_adapter_for_us_is_refused(tmp_path: Path, shapes: files.Shapes, says: str) -> None:
    path = files.write_sparse(tmp_path / "model.safetensors", shapes)
    with pytest.raises(ModelFileError, match=says):
        read_layout(path)
    with pytest.raises(ModelFileError, match=says):
        load_adapter(path, "0")


def test_quantised_weights_are_refused(tmp_path: Path) -> None:
    path = files.write_sparse(tmp_path / "model.safetensors", PLAIN, dtype="F8_E4M3")
    with pytest.raises(ModelFileError, match="stored as F8_E4M3: use the half or full precision version"):
        read_layout(path)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["image_proj.layers.1.1.3.weight", "ip_adapter.3.to_v_ip.weight"])
def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, name: str, bad: float) -> None:
    path = tmp_path / "a.safetensors"
    weights = dict(files.random_weights(PLUS, torch.float16, 0))
    weights[name][-1, -1] = bad
    save_file(weights, path)
    with pytest.raises(ModelFileError, match=f"not finite .*{name}"):
        load_adapter(path, "0")


def test_a_layout_is_plain_data() -> None:
    layout = Layout("plain", 24, 48, 4, (64, 96))
    assert replace(layout, tokens=8) != layout
    assert hash(layout) == hash(Layout("plain", 24, 48, 4, (64, 96)))
