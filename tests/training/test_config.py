"""`vestige lora check-config`: every key, every contradiction, and what a run amounts to."""

from pathlib import Path
from typing import Any

import pytest

from server.training.check_config import Checked, check_config
from server.training.findings import TrainingError
from server.training.keys import FILE, known_keys, written
from server.training.rules import RULES
from server.training.rules.pictures import FOLDER_KEYS
from tests.training.pictures import good_dataset

GOOD: dict[str, Any] = {
    "pretrained_model_name_or_path": "base.safetensors",
    "train_data_dir": "pictures",
    "caption_extension": ".txt",
    "resolution": "1024,1024",
    "enable_bucket": True,
    "max_bucket_reso": 2048,
    "cache_latents": True,
    "network_module": "networks.lora",
    "network_dim": 32,
    "network_alpha": 16,
    "learning_rate": 1e-4,
    "optimizer_type": "AdamW8bit",
    "max_train_epochs": 10,
    "mixed_precision": "bf16",
    "sdpa": True,
    "gradient_checkpointing": True,
    "save_every_n_epochs": 1,
    "save_state": True,
    "output_dir": "out",
    "output_name": "halina_v1",
    "seed": 1,
}


def toml(values: dict[str, Any]) -> str:
    def written(value: object) -> str:
        match value:
            case bool():
                return str(value).lower()
            case str():
                return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
            case list():
                return f"[{', '.join(map(written, value))}]"
        return repr(value)

    return "".join(f"{name} = {written(value)}\n" for name, value in values.items())


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return good_dataset(tmp_path_factory.mktemp("drawn") / "pictures", 4)


@pytest.fixture
def folder(tmp_path: Path, drawn: Path) -> Path:
    (tmp_path / "base.safetensors").touch()
    (tmp_path / "pictures").symlink_to(drawn)
    return tmp_path


def check(folder: Path, text: str) -> Checked:
    path = folder / "lora.toml"
    path.write_text(text, encoding="utf-8")
    return check_config(path)


def kinds(checked: Checked) -> list[str]:
    return [one.kind for one in checked.findings]


def changed(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in (GOOD | values).items() if value is not None}


def test_a_good_configuration_has_nothing_said_of_it(folder: Path) -> None:
    checked = check(folder, toml(GOOD))
    assert kinds(checked) == []
    assert checked.estimate is not None
    assert checked.estimate.lines()[0] == ("4 pictures, 40 with repeats: 40 steps per epoch, 10.0 epochs, 400 steps.")


def test_the_trainers_own_documented_example_has_every_fault_named(folder: Path) -> None:
    example = """
pretrained_model_name_or_path = "base.safetensors"
dataset_config = "my_sdxl_dataset_config.toml"
output_dir = "out"
output_name = "my_sdxl_lora"
save_model_as = "safetensors"
network_module = "networks.lora"
network_dim = 32
network_alpha = 16
learning_rate = 1e-4
unet_lr = 1e-4
text_encoder_lr1 = 1e-5
text_encoder_lr2 = 1e-5
optimizer_type = "AdamW8bit"
lr_scheduler = "constant"
max_train_epochs = 10
save_every_n_epochs = 1
mixed_precision = "bf16"
gradient_checkpointing = true
cache_text_encoder_outputs = true
cache_latents = true
"""
    subset = '[[datasets]]\n[[datasets.subsets]]\nimage_dir = "pictures/10_halina"\ncaption_extension = ".txt"\n'
    (folder / "my_sdxl_dataset_config.toml").write_text(subset, encoding="utf-8")
    errors = [(one.kind, one.where) for one in check(folder, example).findings if one.severity == "error"]
    assert errors == [
        ("unknown_key", "lora.toml:12"),
        ("unknown_key", "lora.toml:13"),
        ("cached_text_trained", "lora.toml:20"),
    ]


@pytest.mark.parametrize("name", [key.name for key in known_keys().by_name.values()])
def test_every_key_takes_what_the_trainer_takes_and_nothing_else(name: str) -> None:
    key = known_keys().by_name[name]
    good, bad = {
        "flag": (True, ["true", 1]),
        "integer": (1, ["1", 1.5, True, [1]]),
        "number": (0.5, ["0.5", True]),
        "text": ("x", [1, True]),
    }[key.kind]
    if key.choices:
        good, bad = key.choices[0], [*bad, "fp61", 61]
    if key.many:
        good, bad = [good], [good, [bad[0]]]
    assert key.takes(good)
    assert not any(key.takes(one) for one in bad)


def test_the_data_is_what_a_refresh_would_write() -> None:
    keys = known_keys()
    assert len(keys.by_name) == 196
    assert written(keys) == FILE.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("network_dimm = 32", "unknown_key", "Did you mean network_dim?"),
        ("zzzz = 1", "unknown_key", "would pass over it silently."),
        ("[lora.more]\nx = 1", "unknown_key", "opens one level only"),
        ('network_alpha = "16"', "wrong_value", "Without quotes: 16."),
        ("mixed_precision = 'fp61'", "wrong_value", "one of no, fp16, bf16"),
        ("xformers = 'True'", "wrong_value", "Without quotes: true."),
        ("optimizer_args = 'weight_decay=0.1'", "wrong_value", "a list"),
        ("output_name = '<tune>'", "slot", "placeholder"),
        ("optimizer_args = ['a=<tune:decay>']", "slot", "placeholder"),
    ],
)
def test_a_mistake_has_its_line_and_what_to_write(folder: Path, text: str, kind: str, said: str) -> None:
    kept = {name: value for name, value in GOOD.items() if not text.startswith(name)}
    whole = text + "\n" + toml(kept) if not text.startswith("[") else toml(kept) + text
    found = [one for one in check(folder, whole).findings if one.kind == kind]
    assert len(found) == 1
    assert said in found[0].text
    assert found[0].where.partition(":")[2].isdigit()


def test_sections_mean_nothing_and_the_last_of_two_equal_keys_is_what_counts(folder: Path) -> None:
    checked = check(folder, toml(changed(seed=None)) + "[one]\nseed = 1\n[two]\nseed = 2\n")
    assert kinds(checked) == ["twice"]
    assert checked.config.value("seed") == 2


RULE_CASES: dict[str, dict[str, Any]] = {
    "no_base": {"pretrained_model_name_or_path": None},
    "no_network": {"network_module": None},
    "no_output": {"output_dir": None},
    "no_name": {"output_name": None},
    "no_pictures": {"train_data_dir": None},
    "no_resolution": {"resolution": None},
    "bad_resolution": {"resolution": "1024x1024"},
    "no_dim": {"network_dim": None},
    "no_alpha": {"network_alpha": None},
    "large_alpha": {"network_alpha": 128},
    "no_rate": {"learning_rate": None},
    "high_rate": {"unet_lr": 0.1},
    "low_rate": {"optimizer_type": "Prodigy"},
    "one_text_rate": {"text_encoder_lr": [1e-5, 2e-5]},
    "cached_text_trained": {"cache_text_encoder_outputs_to_disk": True},
    "cached_text_changed": {
        "cache_text_encoder_outputs": True,
        "network_train_unet_only": True,
        "caption_dropout_rate": 0.1,
    },
    "cached_latents_changed": {"random_crop": True},
    "full_fp16": {"full_fp16": True},
    "full_bf16": {"full_bf16": True, "mixed_precision": "fp16", "no_half_vae": True},
    "fp8": {"fp8_base_unet": True, "mixed_precision": "no"},
    "half_vae": {"mixed_precision": "fp16"},
    "full_precision": {"mixed_precision": None},
    "optimizer": {"optimizer_type": "AdamX"},
    "two_optimizers": {"use_8bit_adam": True},
    "fused_backward": {"fused_backward_pass": True},
    "scheduler": {"lr_scheduler": "cosinus"},
    "needless_warmup": {"lr_warmup_steps": 100},
    "warmup_share": {"lr_scheduler": "cosine", "lr_warmup_steps": 100.0},
    "one_cycle": {"lr_scheduler": "cosine_with_restarts"},
    "adaptive_noise": {"adaptive_noise_scale": 0.1},
    "v_pred_scale": {"scale_v_pred_loss_like_noise_pred": True},
    "v_pred_like": {"v_pred_like_loss": 0.5, "v_parameterization": True},
    "zero_terminal_snr": {"zero_terminal_snr": True},
    "two_noises": {"noise_offset": 0.1, "multires_noise_iterations": 6},
    "v2": {"v2": True},
    "clip_skip": {"clip_skip": 2},
    "nothing_trained": {"network_train_unet_only": True, "network_train_text_encoder_only": True},
    "no_buckets": {"enable_bucket": None},
    "bucket_step": {"bucket_reso_steps": 24},
    "bucket_range": {"min_bucket_reso": 1088},
    "short_buckets": {"max_bucket_reso": 1024},
    "two_datasets": {"dataset_config": "lora.toml"},
    "steps_and_epochs": {"max_train_steps": 100},
    "no_length": {"max_train_epochs": None},
    "last_only": {"save_every_n_epochs": None},
    "not_safetensors": {"save_model_as": "pt"},
    "no_metadata": {"no_metadata": True},
    "never_sampled": {"sample_prompts": "base.safetensors"},
    "nothing_sampled": {"sample_every_n_epochs": 1},
    "no_state": {"save_state": None},
    "no_seed": {"seed": None},
    "attention": {"sdpa": None},
    "idle_workers": {"persistent_data_loader_workers": True, "max_data_loader_n_workers": 0},
    "secret": {"wandb_api_key": "abc"},
}


BRING_OTHERS = ("no_pictures", "full_fp16", "fp8", "full_precision", "no_dim", "two_datasets")


def test_every_rule_has_a_case() -> None:
    assert {rule.kind for rule in RULES} == set(RULE_CASES)


@pytest.mark.parametrize("kind", RULE_CASES)
def test_a_contradiction_is_named_and_nothing_else(folder: Path, kind: str) -> None:
    found = kinds(check(folder, toml(changed(**RULE_CASES[kind]))))
    assert kind in found
    assert len(found) == 1 or kind in BRING_OTHERS


def test_captions_that_the_trainer_would_not_find(folder: Path) -> None:
    checked = check(folder, toml(changed(caption_extension=None)))
    assert kinds(checked) == ["caption_extension"]
    assert 'caption_extension = ".txt"' in checked.findings[0].text


def test_a_dataset_config_is_counted_too(folder: Path) -> None:
    (folder / "data.toml").write_text(
        """
[general]
resolution = 1024
enable_bucket = true
caption_extension = ".txt"
[[datasets]]
batch_size = 2
[[datasets.subsets]]
image_dir = "pictures/10_halina"
num_repeats = 5
""",
        encoding="utf-8",
    )
    kept = {name: value for name, value in GOOD.items() if name not in FOLDER_KEYS}
    checked = check(folder, toml(kept | {"dataset_config": "data.toml"}))
    assert checked.estimate is not None
    assert (checked.estimate.seen, checked.estimate.steps) == (20, 100)
    assert kinds(checked) == []
    text = (folder / "data.toml").read_text(encoding="utf-8")
    (folder / "data.toml").write_text(text.replace('caption_extension = ".txt"', ""), encoding="utf-8")
    assert kinds(check(folder, toml(kept | {"dataset_config": "data.toml"}))) == ["caption_extension"]
    (folder / "data.toml").write_text(text.replace("10_halina", "nowhere"), encoding="utf-8")
    assert kinds(check(folder, toml(kept | {"dataset_config": "data.toml"}))) == ["not_there"]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"train_data_dir": "pictures/10_halina"}, "loose_pictures"),
        ({"train_data_dir": "nowhere"}, "not_there"),
        ({"pretrained_model_name_or_path": "other.safetensors"}, "not_there"),
    ],
)
def test_paths_that_lead_nowhere(folder: Path, values: dict[str, Any], kind: str) -> None:
    assert kind in kinds(check(folder, toml(changed(**values))))


@pytest.mark.parametrize("data", [b"\xff\xfe", b"a = ", b"x" * (2 << 20)])
def test_what_is_no_configuration_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "lora.toml"
    path.write_bytes(data)
    with pytest.raises(TrainingError):
        check_config(path)
