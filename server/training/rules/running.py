"""What a run needs, how exact it is, how long it goes, what it leaves, and what the machine makes of it."""

from server.training.config_file import Config
from server.training.rules.model import Rule, needed

__all__ = ["RULES"]


def _precision(config: Config, flag: str, wanted: str) -> bool:
    return config.on(flag) and config.value("mixed_precision") != wanted


RULES: tuple[Rule, ...] = (
    needed(
        "pretrained_model_name_or_path",
        "no_base",
        "pretrained_model_name_or_path is missing: name the SDXL checkpoint that the LoRA is for.",
    ),
    needed("network_module", "no_network", 'network_module is missing: network_module = "networks.lora".'),
    needed("output_dir", "no_output", "output_dir is missing: say where the LoRA goes."),
    Rule(
        "warning",
        "no_name",
        ("output_name",),
        lambda c: not c.on("output_name"),
        "output_name is missing, so the files will be called last.safetensors: name the character and the version.",
    ),
    Rule(
        "error",
        "full_fp16",
        ("full_fp16",),
        lambda c: _precision(c, "full_fp16", "fp16"),
        'full_fp16 needs mixed_precision = "fp16".',
    ),
    Rule(
        "error",
        "full_bf16",
        ("full_bf16",),
        lambda c: _precision(c, "full_bf16", "bf16"),
        'full_bf16 needs mixed_precision = "bf16".',
    ),
    Rule(
        "error",
        "fp8",
        ("fp8_base", "fp8_base_unet"),
        lambda c: (c.on("fp8_base") or c.on("fp8_base_unet")) and c.value("mixed_precision") == "no",
        'fp8_base needs mixed_precision = "bf16" or "fp16".',
    ),
    Rule(
        "warning",
        "half_vae",
        ("mixed_precision", "no_half_vae"),
        lambda c: c.value("mixed_precision") == "fp16" and not c.on("no_half_vae"),
        "SDXL's own VAE overflows in fp16, and the loss becomes NaN: add no_half_vae = true.",
    ),
    Rule(
        "warning",
        "full_precision",
        ("mixed_precision",),
        lambda c: c.value("mixed_precision") == "no",
        'without mixed_precision everything runs in 32 bits, at twice the memory: "bf16" on cards since 2020, else '
        '"fp16".',
    ),
    Rule(
        "warning",
        "steps_and_epochs",
        ("max_train_steps", "max_train_epochs"),
        lambda c: "max_train_steps" in c.given and "max_train_epochs" in c.given,
        "max_train_epochs wins over max_train_steps: keep one.",
    ),
    Rule(
        "warning",
        "no_length",
        ("max_train_steps",),
        lambda c: "max_train_steps" not in c.given and "max_train_epochs" not in c.given,
        "neither max_train_epochs nor max_train_steps is there: 1,600 steps are made, whatever the pictures are.",
    ),
    Rule(
        "warning",
        "last_only",
        ("save_every_n_epochs",),
        lambda c: not any(map(c.on, ("save_every_n_epochs", "save_every_n_steps", "save_n_epoch_ratio"))),
        "only the end is saved, and the best epoch is seldom the last: save_every_n_epochs = 1.",
    ),
    Rule(
        "error",
        "not_safetensors",
        ("save_model_as",),
        lambda c: isinstance(c.value("save_model_as"), str) and c.value("save_model_as") != "safetensors",
        'a file of this kind can run programs and is refused by every host: save_model_as = "safetensors".',
    ),
    Rule(
        "warning",
        "no_metadata",
        ("no_metadata",),
        lambda c: c.on("no_metadata"),
        "without metadata nobody can tell later which base the LoRA is for: take no_metadata away.",
    ),
    Rule(
        "warning",
        "never_sampled",
        ("sample_prompts",),
        lambda c: (
            c.on("sample_prompts")
            and not any(map(c.on, ("sample_every_n_epochs", "sample_every_n_steps", "sample_at_first")))
        ),
        "sample_prompts are never made into pictures: set sample_every_n_epochs = 1.",
    ),
    Rule(
        "error",
        "nothing_sampled",
        ("sample_every_n_epochs", "sample_every_n_steps", "sample_at_first"),
        lambda c: (
            not c.on("sample_prompts")
            and any(map(c.on, ("sample_every_n_epochs", "sample_every_n_steps", "sample_at_first")))
        ),
        "there are no sample_prompts to make pictures of.",
    ),
    Rule(
        "warning",
        "no_state",
        ("save_state",),
        lambda c: not any(map(c.on, ("save_state", "save_state_on_train_end"))),
        "nothing is kept to go on from after an interruption: save_state = true with save_last_n_epochs_state = 1.",
    ),
    Rule(
        "note",
        "no_seed",
        ("seed",),
        lambda c: c.value("seed") is None,
        "without a seed the same run cannot be made again.",
    ),
    Rule(
        "warning",
        "attention",
        ("sdpa", "xformers"),
        lambda c: not any(map(c.on, ("sdpa", "xformers", "mem_eff_attn"))),
        "plain attention takes several GB more at 1024 pixels: sdpa = true.",
    ),
    Rule(
        "error",
        "idle_workers",
        ("persistent_data_loader_workers",),
        lambda c: c.on("persistent_data_loader_workers") and c.number("max_data_loader_n_workers") == 0,
        "persistent_data_loader_workers needs max_data_loader_n_workers of 1 or more.",
    ),
    Rule(
        "error",
        "secret",
        ("wandb_api_key", "huggingface_token"),
        lambda c: c.on("wandb_api_key") or c.on("huggingface_token"),
        "a key in a file is copied, shared and logged: use the environment (WANDB_API_KEY, HF_TOKEN).",
    ),
)
