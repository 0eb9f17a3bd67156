"""A LoRA carries over inside its lineage; what tells lineages apart is what training tools wrote down."""

from pathlib import Path

import pytest

from comfy_nodes.outfit_tuner.lineage import Lineage, checkpoint_lineage, lineage_misfit, lora_lineage
from comfy_nodes.outfit_tuner.safetensors_header import Header, ModelFileError, TensorInfo, read_header
from tests.outfit_tuner import model_files as files

PONY = "67ab2fd8ec439a89b3fedb15cc65f54336af163c7eb5e4f2acc98f090a29b0b3"
SDXL = "31e35c80fc4829d14f90153f4c74cd59c90b779f6afe05a74cd6120b893f7e5b"
OTHER = "ab" * 32
SAYS_SDXL = {"ss_base_model_version": "sdxl_base_v1-0", "modelspec.architecture": "stable-diffusion-xl-v1-base/lora"}


def header(shapes: files.Shapes, metadata: dict[str, str] | None = None) -> Header:
    return Header({name: TensorInfo("F16", shape) for name, shape in shapes.items()}, metadata or {})


def lora(metadata: dict[str, str] | None = None, *, cross_dim: int = 2048) -> Lineage:
    return lora_lineage(header(files.lora(cross_dim, text_encoders=2), metadata), "a.safetensors")


def checkpoint(
    shapes: files.Shapes = files.SDXL_UNET,
    *,
    sha256: str | None = None,
    name: str = "model.safetensors",
    metadata: dict[str, str] | None = None,
) -> Lineage:
    return checkpoint_lineage(header(shapes, metadata), sha256, name)


@pytest.mark.parametrize(
    ("metadata", "family", "evidence"),
    [
        ({}, None, "its shape"),
        (SAYS_SDXL, None, "its shape"),  # so say Pony's and Illustrious' LoRAs too
        ({**SAYS_SDXL, "ss_new_sd_model_hash": PONY}, "pony", "the hash of its base"),
        ({**SAYS_SDXL, "ss_new_sd_model_hash": PONY.upper(), "ss_sd_model_name": "x"}, "pony", "the hash of its base"),
        (
            {**SAYS_SDXL, "ss_new_sd_model_hash": OTHER, "ss_sd_model_name": "Illustrious-XL-v0.1.safetensors"},
            "illustrious",
            "the name of its base, Illustrious-XL-v0.1.safetensors",
        ),
        ({"ss_sd_model_name": "noobaiXLNAIXL_vPred10Version.safetensors"}, "illustrious", "the name of its base, noob"),
        ({"ss_sd_model_name": "290640.safetensors"}, "pony", "the name of its base, 290640.safetensors"),
        ({"ss_sd_model_name": "animagine-xl-3.1.safetensors"}, "animagine", "the name of its base"),
        ({"ss_sd_model_name": "stabilityai/stable-diffusion-xl-base-1.0"}, "sdxl", "the name of its base"),
        ({"ss_sd_model_name": "sd_xl_base_1.0.safetensors"}, "sdxl", "the name of its base"),
        ({"ss_sd_model_name": "ponyIllustriousMix.safetensors"}, None, "its shape"),  # says two things
        ({"ss_sd_model_name": "juggernautXL_v9.safetensors"}, None, "its shape"),
        ({"ss_base_model_version": "flux1"}, "flux1", "its ss_base_model_version"),
    ],
)
def test_what_an_sdxl_lora_says_it_was_trained_on(metadata: dict[str, str], family: str | None, evidence: str) -> None:
    found = lora(metadata)
    assert found.family == family
    assert found.evidence.startswith(evidence)
    assert found.cross_dim == 2048
    assert found.architecture == "sdxl"


@pytest.mark.parametrize(
    ("name", "cross_dim"),
    [
        ("lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_down.weight", 768),
        ("lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight", 768),
        ("unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight", 2048),
        ("unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.processor.to_k_lora.down.weight", 768),
        ("lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.hada_w1_b", 2048),
    ],
)
def test_shapes_tell_the_architecture_in_every_naming(name: str, cross_dim: int) -> None:
    found = lora_lineage(header({name: (4, cross_dim), f"{name}_up": (640, 4)}), "a.safetensors")
    assert found.cross_dim == cross_dim


@pytest.mark.parametrize(
    "name",
    [
        "lora_unet_input_blocks_4_1_proj_in.lokr_w1",
        "lora_unet_input_blocks_4_1_proj_in.oft_blocks",
        "lora_unet_input_blocks_4_1_proj_in.a1.weight",
        "diffusion_model.input_blocks.4.1.proj_in.diff",
        "text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer.down.weight",
    ],
)
def test_every_kind_that_comfyui_loads_is_one(name: str) -> None:
    assert lora_lineage(header({name: (4, 4)}), "a.safetensors") == Lineage(evidence="its shape")


def test_what_is_no_lora_is_refused() -> None:
    for shapes in (files.SDXL_UNET, files.PUBLISHED["ip-adapter_sd15"], {}):
        with pytest.raises(ModelFileError, match="no LoRA: choose a file from the loras folder"):
            lora_lineage(header(shapes), "model.safetensors")


@pytest.mark.parametrize(
    ("found", "family", "evidence"),
    [
        (checkpoint(sha256=PONY, name="renamed.safetensors"), "pony", "its hash"),
        (checkpoint(sha256=PONY, name="illustrious.safetensors"), "pony", "its hash"),
        (checkpoint(name="waiIllustriousSDXL_v170.safetensors"), "illustrious", "its file name"),
        (checkpoint(metadata={"modelspec.title": "Animagine XL"}), "animagine", "its header"),
        (checkpoint(metadata={"sd_merge_models": '{"x": {"name": "ponyDiffusionV6XL"}}'}), "pony", "its header"),
        (checkpoint(name="juggernautXL.safetensors"), None, "its shape"),
        (checkpoint(files.SD15_UNET), "sd15", "its shape"),
    ],
)
def test_what_a_checkpoint_descends_from(found: Lineage, family: str | None, evidence: str) -> None:
    assert (found.family, found.evidence) == (family, evidence)


@pytest.mark.parametrize(
    ("of_lora", "of_checkpoint", "sha256", "says"),
    [
        (lora(), checkpoint(), None, None),
        (lora({"ss_sd_model_name": "ponyV6"}), checkpoint(), None, None),  # a merge of which nothing is known
        (lora(), checkpoint(name="pony.safetensors"), None, None),
        (lora({"ss_sd_model_name": "ponyV6"}), checkpoint(name="ponyRealism.safetensors"), None, None),
        (
            lora({"ss_sd_model_name": "ponyV6.safetensors"}),
            checkpoint(name="illustriousXL.safetensors"),
            None,
            "was trained on Pony Diffusion (SDXL) (the name of its base, ponyV6.safetensors says so), "
            "and the checkpoint is Illustrious (SDXL) (its file name says so)",
        ),
        (
            lora({"ss_new_sd_model_hash": SDXL}),
            checkpoint(sha256=PONY),
            PONY,
            "was trained on SDXL (the hash of its base says so), "
            "and the checkpoint is Pony Diffusion (SDXL) (its hash says so)",
        ),
        # trained on this very file, whatever the file is called
        (
            lora({"ss_new_sd_model_hash": OTHER, "ss_sd_model_name": "pony"}),
            checkpoint(name="illustrious.safetensors"),
            OTHER,
            None,
        ),
        (
            lora(cross_dim=768),
            checkpoint(),
            None,
            "was trained for Stable Diffusion 1.5, and the checkpoint is SDXL",
        ),
        (
            lora(),
            checkpoint(files.SD15_UNET),
            None,
            "was trained for SDXL, and the checkpoint is Stable Diffusion 1.5",
        ),
        (
            Lineage(family="flux1", evidence="its ss_base_model_version"),
            checkpoint(),
            None,
            "was trained for flux1, and ",
        ),
        (Lineage(family="sd15"), checkpoint(files.SD15_UNET), None, None),
        (Lineage(), checkpoint(), None, None),
    ],
)
def test_where_a_lora_carries_over(
    of_lora: Lineage, of_checkpoint: Lineage, sha256: str | None, says: str | None
) -> None:
    why = lineage_misfit(of_lora, of_checkpoint, sha256)
    assert why is None if says is None else why is not None and why.startswith(says)


def test_only_the_header_is_read(tmp_path: Path) -> None:
    path = files.write_sparse(tmp_path / "a.safetensors", files.lora(2048), metadata={"ss_sd_model_name": "pony"})
    content = path.read_bytes()
    assert lora_lineage(read_header(path), path.name).family == "pony"
    assert path.read_bytes() == content
