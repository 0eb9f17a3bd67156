"""Headers as several trainers write them, and as nobody should."""

import io
from datetime import UTC, datetime
from typing import Any

import pytest

from comfy_nodes.outfit_tuner import lineage as pack
from comfy_nodes.outfit_tuner.safetensors_header import Header as PackHeader
from comfy_nodes.outfit_tuner.safetensors_header import TensorInfo
from server.errors import InvalidLora
from server.loras.facts import embedded_hash, read_facts
from server.loras.header import read_header
from server.loras.lineage import BASES, FAMILIES
from server.loras.records import LoraFacts
from tests.loras import lora_files as files


def facts(data: bytes) -> LoraFacts:
    file = io.BytesIO(data)

    def read_at(place: int, length: int) -> bytes:
        file.seek(place)
        return file.read(length)

    return read_facts(read_header(file, len(data)), read_at)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            files.lora(files.KOHYA, files.KOHYA_SAYS),
            {
                "trainer": "sd-scripts",
                "network": "lora",
                "dim": 32,
                "alpha": 16.0,
                "steps": 740,
                "epochs": 10,
                "images": 204,
                "title": "halina",
                "tags": (("1girl", 23), ("smile", 4), ("standing", 3)),
                "trained": datetime(2024, 9, 11, 15, 17, 43, 296730, UTC),
                "base_family": "pony",
                "base_name": "ponyDiffusionV6XL_v6StartWithThisOne.safetensors",
                "base_sha256": files.PONY,
                "evidence": "the hash of its base",
                "tensors": 6,
                "dtype": "F16",
            },
        ),
        (files.lora(files.LOCON, files.LYCORIS_SAYS), {"trainer": "sd-scripts", "network": "locon", "dim": 32}),
        (files.lora(files.LOHA), {"trainer": None, "network": "loha", "dim": 4, "alpha": 8.0, "base_family": "sdxl"}),
        (files.lora(files.LOKR), {"network": "lokr", "dim": 8, "alpha": None}),
        (files.lora(files.DORA), {"network": "dora", "dim": 4}),
        (
            files.lora(files.KOHYA, files.ONETRAINER_SAYS),
            {
                "trainer": "OneTrainer",
                "dim": 16,
                "alpha": 8.0,
                "epochs": 40,
                "steps": None,
                "title": "halina ot",
                "base_family": "illustrious",
                "base_name": "OnomaAIResearch/Illustrious-XL-v0.1",
                "evidence": "the name of its base",
                "trained": datetime(2026, 5, 2, 10, tzinfo=UTC),
            },
        ),
        (
            files.lora(files.KOHYA, files.AI_TOOLKIT_SAYS),
            {"trainer": "ai-toolkit", "dim": 4, "alpha": 8.0, "steps": 2000, "epochs": 12, "title": "halina_sdxl"},
        ),
        (
            files.lora(files.PEFT, files.PEFT_SAYS),
            {"trainer": "diffusers", "dim": 16, "alpha": 24.0, "base_family": "sdxl", "evidence": "its shape"},
        ),
        (files.lora(files.PEFT, {"format": "pt"}), {"trainer": "diffusers", "dim": 16, "alpha": None}),
        (files.lora(files.KOHYA), {"trainer": None, "dim": 4, "alpha": 8.0, "base_family": "sdxl", "tags": ()}),
        (files.lora(files.KOHYA, dtype="F32", fill=b"\0\0\0\x41"), {"dim": 4, "alpha": 8.0, "dtype": "F32"}),
        (files.lora(files.KOHYA, dtype="BF16", fill=b"\0\x41"), {"dim": 4, "alpha": 8.0, "dtype": "BF16"}),
        (files.lora(files.KOHYA, {"ss_base_model_version": "flux1"}), {"base_family": "flux1"}),
    ],
)
def test_what_trainers_write(data: bytes, expected: dict[str, Any]) -> None:
    found = facts(data).model_dump()
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    "metadata",
    [
        {"ss_network_dim": "None", "ss_network_alpha": "nan", "ss_steps": "-3", "ss_epoch": "1e400"},
        {"ss_tag_frequency": "[" * 10_000, "ot_config": "[1]", "training_info": '"x"', "lora_adapter_metadata": "{"},
        {"ss_tag_frequency": '{"a": 3, "b": {"x": "many", "\\ud800": 2, "y": true}}', "modelspec.date": "yesterday"},
        {"ss_training_finished_at": "1e18", "ss_base_model_version": "\ud83d\x1b[31m", "ss_sd_model_name": "\x00"},
        {"ss_new_sd_model_hash": "not a hash", "modelspec.title": "x" * 100_000, "software": "[]"},
    ],
)
def test_nonsense_in_the_metadata_is_left_out(metadata: dict[str, str]) -> None:
    found = facts(files.lora(files.KOHYA, metadata))
    assert (found.dim, found.alpha, found.steps) == (4, 8.0, None)
    assert len(found.model_dump_json().encode()) < 2_000


@pytest.mark.parametrize(
    ("shapes", "says"),
    [
        ({"model.diffusion_model.input_blocks.4.1.proj_in.weight": (640, 640)}, "is no LoRA"),
        ({"image_proj.latents": (1, 16, 1280), "ip_adapter.1.to_k_ip.weight": (640, 2048)}, "is no LoRA"),
        (files.KOHYA | {"model.diffusion_model.out.0.weight": (320,)}, "holds 'model.diffusion_model.out.0.weight'"),
        (files.KOHYA | {"payload": (400,)}, "holds 'payload', which is no part of a LoRA"),
        (files.KOHYA | {"\x1b[2J": (4,)}, "holds '?[2J'"),
    ],
)
def test_only_loras_are_taken(shapes: files.Shapes, says: str) -> None:
    with pytest.raises(InvalidLora) as refused:
        facts(files.lora(shapes))
    assert says in refused.value.message


@pytest.mark.parametrize(
    "name",
    [
        "lora_unet_input_blocks_4_1_proj_in.lokr_w1",
        "lora_unet_input_blocks_4_1_proj_in.oft_blocks",
        "lora_unet_input_blocks_4_1_proj_in.a1.weight",
        "diffusion_model.input_blocks.4.1.proj_in.diff",
        "text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer.down.weight",
        "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.processor.to_k_lora.down.weight",
        "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.lora.down.weight",
        "transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight",
        "base_model.model.unet.to_q.lora_A.default.weight",
    ],
)
def test_every_kind_that_the_node_pack_loads_is_one(name: str) -> None:
    assert facts(files.lora({name: (4, 4)})).tensors == 1


def test_bundled_embeddings_belong_to_it() -> None:
    assert facts(files.lora(files.KOHYA | {"bundle_emb.halina.string_to_param.*": (4, 768)})).dim == 4


def test_the_hash_that_a_trainer_embedded() -> None:
    assert embedded_hash(files.KOHYA_SAYS) == "ab" * 32
    assert embedded_hash({"sshs_model_hash": "0x" + "AB" * 32}) == "ab" * 32
    assert embedded_hash({"sshs_model_hash": "None"}) is None


def test_server_and_node_pack_know_the_same_bases() -> None:
    assert BASES == pack._BASES
    assert FAMILIES == pack.FAMILIES


@pytest.mark.parametrize("shapes", [files.KOHYA, files.LOHA, files.PEFT])
@pytest.mark.parametrize(
    "metadata",
    [
        {},
        files.KOHYA_SAYS,
        {"ss_new_sd_model_hash": files.ILLUSTRIOUS},
        *(
            {"ss_sd_model_name": name, "ss_base_model_version": "sdxl_base_v1-0"}
            for name in (
                "noobaiXLNAIXL_vPred10Version.safetensors",
                "290640.safetensors",
                "animagine-xl-3.1.safetensors",
                "stabilityai/stable-diffusion-xl-base-1.0",
                "ponyIllustriousMix.safetensors",
                "juggernautXL_v9.safetensors",
            )
        ),
        {"ss_base_model_version": "flux1"},
        {"modelspec.architecture": "stable-diffusion-v1/lora"},
    ],
)
def test_server_and_node_pack_say_the_same_of_a_lora(shapes: files.Shapes, metadata: dict[str, str]) -> None:
    theirs = pack.lora_lineage(
        PackHeader({name: TensorInfo("F16", shape) for name, shape in shapes.items()}, metadata), "a.safetensors"
    )
    ours = facts(files.lora(shapes, metadata))
    assert (ours.base_family, ours.base_sha256) == (theirs.family or theirs.architecture, theirs.base_sha256)
