"""What cannot be together in a configuration, and what is hardly ever meant. Read in sd-scripts' own code, at the
commit of `keys.json`; a rule that only warns says what experience has shown."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from server.training.config_file import Config, has_slot
from server.training.findings import Finding, Severity

_OPTIMIZERS = (
    "adamw adamw8bit lion sgdnesterov sgdnesterov8bit pagedadamw pagedadamw8bit pagedadamw32bit lion8bit pagedlion8bit "
    "ademamix8bit pagedademamix8bit dadaptation dadaptadampreprint dadaptadagrad dadaptadam dadaptadan dadaptadanip "
    "dadaptlion dadaptsgd prodigy adafactor radamschedulefree adamwschedulefree sgdschedulefree"
)
_SCHEDULERS = (
    "linear cosine cosine_with_restarts polynomial constant constant_with_warmup inverse_sqrt cosine_with_min_lr "
    "warmup_stable_decay piecewise_constant"
)
OPTIMIZERS = frozenset(_OPTIMIZERS.split())
"""What the trainer makes by name, in small letters; it takes a dotted path too."""
SCHEDULERS = frozenset(_SCHEDULERS.split())
BUCKET_STEP = 32
"""SDXL's: what `bucket_reso_steps` has to be a multiple of."""
FOLDER_KEYS = ("train_data_dir", "reg_data_dir", "in_json", "resolution", "train_batch_size", "caption_extension")


@dataclass(frozen=True, slots=True)
class Rule:
    """`broken` says whether a configuration breaks it; the finding stands at the first of `keys` that was given."""

    severity: Severity
    kind: str
    keys: tuple[str, ...]
    broken: Callable[[Config], bool]
    text: str


def check_rules(config: Config) -> Iterator[Finding]:
    """Every rule that is broken. What still is a placeholder is not looked at again."""
    for rule in RULES:
        open_yet = any(has_slot(config.given.get(name)) for name in rule.keys)
        if not open_yet and rule.broken(config):
            yield Finding(rule.severity, rule.kind, rule.text, config.where(*rule.keys))


def self_adjusting(config: Config) -> bool:
    """Whether the optimizer finds its own rate, so that `learning_rate` is a factor of about 1."""
    return config.text("optimizer_type").lower().startswith(("dadapt", "prodigy"))


def _caches_text(config: Config) -> bool:
    return config.on("cache_text_encoder_outputs") or config.on("cache_text_encoder_outputs_to_disk")


def _caches_latents(config: Config) -> bool:
    return config.on("cache_latents") or config.on("cache_latents_to_disk")


def _changes_captions(config: Config) -> bool:
    numbers = ("caption_dropout_rate", "caption_tag_dropout_rate", "token_warmup_step")
    return config.on("shuffle_caption") or any(config.number(one) > 0 for one in numbers)


def _rates(config: Config) -> list[float]:
    rates = config.value("text_encoder_lr")
    rates = rates if isinstance(rates, list) else [rates]
    rates = [*rates, config.value("unet_lr"), config.given.get("learning_rate")]
    return [float(one) for one in rates if isinstance(one, int | float) and not isinstance(one, bool) and one > 0]


def _two_text_rates(config: Config) -> bool:
    rates = config.value("text_encoder_lr")
    return (
        isinstance(rates, list) and len(set(map(str, rates))) > 1 and config.text("network_module") == "networks.lora"
    )


def _precision(config: Config, flag: str, wanted: str) -> bool:
    return config.on(flag) and config.value("mixed_precision") != wanted


def _sides(config: Config) -> list[int]:
    """`resolution` as the trainer reads it, `1024` or `1024,1024`; empty where it is neither."""
    parts = config.text("resolution").split(",")
    return [int(part) for part in parts if part.strip().isdigit()] if len(parts) in (1, 2) else []


def _needed(name: str, kind: str, text: str) -> Rule:
    return Rule("error", kind, (name,), lambda c: not c.on(name), text)


RULES: tuple[Rule, ...] = (
    # what has to be there
    _needed(
        "pretrained_model_name_or_path",
        "no_base",
        "pretrained_model_name_or_path is missing: name the SDXL checkpoint that the LoRA is for.",
    ),
    _needed("network_module", "no_network", 'network_module is missing: network_module = "networks.lora".'),
    _needed("output_dir", "no_output", "output_dir is missing: say where the LoRA goes."),
    Rule(
        "warning",
        "no_name",
        ("output_name",),
        lambda c: not c.on("output_name"),
        "output_name is missing, so the files will be called last.safetensors: name the character and the version.",
    ),
    Rule(
        "error",
        "no_pictures",
        ("train_data_dir",),
        lambda c: not c.on("train_data_dir") and not c.on("dataset_config"),
        "train_data_dir is missing: name the folder that holds the N_name folders.",
    ),
    Rule(
        "error",
        "no_resolution",
        ("resolution",),
        lambda c: not c.on("resolution") and not c.on("dataset_config"),
        'resolution is missing: resolution = "1024,1024" for SDXL.',
    ),
    Rule(
        "error",
        "bad_resolution",
        ("resolution",),
        lambda c: c.on("resolution") and isinstance(c.value("resolution"), str) and not _sides(c),
        'resolution is not "1024" or "1024,1024".',
    ),
    # rank, alpha and rates
    Rule(
        "warning",
        "no_dim",
        ("network_dim",),
        lambda c: not c.on("network_dim") and not c.on("dim_from_weights"),
        "network_dim is missing and becomes 4: say the rank, 16 or 32 for a character.",
    ),
    Rule(
        "warning",
        "no_alpha",
        ("network_alpha", "network_dim"),
        lambda c: "network_alpha" not in c.given and not c.on("dim_from_weights"),
        "network_alpha is missing and becomes 1, scaling all that is learnt by 1/dim: half of network_dim is usual.",
    ),
    Rule(
        "warning",
        "large_alpha",
        ("network_alpha",),
        lambda c: c.number("network_alpha") > 2 * (c.number("network_dim") or 4),
        "network_alpha is more than twice network_dim: the learning rate is multiplied by as much.",
    ),
    Rule(
        "warning",
        "no_rate",
        ("learning_rate", "unet_lr"),
        lambda c: "learning_rate" not in c.given and "unet_lr" not in c.given,
        "neither learning_rate nor unet_lr is there, and 2e-6 is far too low for a LoRA: 1e-4 is usual.",
    ),
    Rule(
        "warning",
        "high_rate",
        ("unet_lr", "learning_rate", "text_encoder_lr"),
        lambda c: not self_adjusting(c) and any(rate > 2e-3 for rate in _rates(c)),
        "a rate above 2e-3 destroys a LoRA within a few hundred steps: 1e-4 to 5e-4 is usual.",
    ),
    Rule(
        "warning",
        "low_rate",
        ("unet_lr", "learning_rate"),
        lambda c: self_adjusting(c) and any(rate <= 0.1 for rate in _rates(c)),
        "this optimizer finds the rate itself and takes learning_rate as a factor: write 1.0, for every rate.",
    ),
    Rule(
        "warning",
        "one_text_rate",
        ("text_encoder_lr",),
        _two_text_rates,
        "networks.lora reads the first rate only and gives it to both text encoders.",
    ),
    # caches
    Rule(
        "error",
        "cached_text_trained",
        ("cache_text_encoder_outputs", "cache_text_encoder_outputs_to_disk"),
        lambda c: _caches_text(c) and not c.on("network_train_unet_only"),
        "cached text encoder outputs cannot be trained: add network_train_unet_only = true, or take the cache away.",
    ),
    Rule(
        "error",
        "cached_text_changed",
        ("cache_text_encoder_outputs", "cache_text_encoder_outputs_to_disk"),
        lambda c: _caches_text(c) and _changes_captions(c),
        "captions that are cached cannot change: take shuffle_caption, caption_dropout_rate, caption_tag_dropout_rate "
        "and token_warmup_step away.",
    ),
    Rule(
        "error",
        "cached_latents_changed",
        ("cache_latents", "cache_latents_to_disk"),
        lambda c: _caches_latents(c) and (c.on("color_aug") or c.on("random_crop")),
        "pictures that are cached cannot change: take color_aug and random_crop away.",
    ),
    # precision
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
    # optimizer and schedule
    Rule(
        "warning",
        "optimizer",
        ("optimizer_type",),
        lambda c: (
            c.on("optimizer_type")
            and "." not in c.text("optimizer_type")
            and c.text("optimizer_type").lower() not in OPTIMIZERS
        ),
        "the trainer has no optimizer of this name itself; it would look for it in torch.optim.",
    ),
    Rule(
        "error",
        "two_optimizers",
        ("use_8bit_adam", "use_lion_optimizer"),
        lambda c: sum(map(c.on, ("use_8bit_adam", "use_lion_optimizer", "optimizer_type"))) > 1,
        "several optimizers are named: keep optimizer_type alone.",
    ),
    Rule(
        "error",
        "fused_backward",
        ("fused_backward_pass",),
        lambda c: (
            c.on("fused_backward_pass")
            and (c.text("optimizer_type").lower() != "adafactor" or c.number("gradient_accumulation_steps") != 1)
        ),
        'fused_backward_pass works with optimizer_type = "Adafactor" and gradient_accumulation_steps = 1 alone.',
    ),
    Rule(
        "error",
        "scheduler",
        ("lr_scheduler",),
        lambda c: (
            isinstance(c.value("lr_scheduler"), str)
            and not c.on("lr_scheduler_type")
            and c.text("lr_scheduler") not in SCHEDULERS
            and not c.text("lr_scheduler").startswith("adafactor:")
        ),
        f"there is no such lr_scheduler: one of {', '.join(sorted(SCHEDULERS))}, or adafactor:RATE.",
    ),
    Rule(
        "error",
        "needless_warmup",
        ("lr_warmup_steps",),
        lambda c: c.value("lr_scheduler") == "constant" and c.number("lr_warmup_steps") != 0,
        'lr_scheduler = "constant" refuses lr_warmup_steps: take it away, or write "constant_with_warmup".',
    ),
    Rule(
        "error",
        "warmup_share",
        ("lr_warmup_steps",),
        lambda c: isinstance(c.value("lr_warmup_steps"), float) and c.number("lr_warmup_steps") >= 1,
        "lr_warmup_steps with a decimal point is a share of all steps, below 1: write 0.05, or 100 without the point.",
    ),
    Rule(
        "warning",
        "one_cycle",
        ("lr_scheduler",),
        lambda c: c.value("lr_scheduler") == "cosine_with_restarts" and c.number("lr_scheduler_num_cycles") <= 1,
        "cosine_with_restarts with one cycle is plain cosine: set lr_scheduler_num_cycles.",
    ),
    # noise and loss
    Rule(
        "error",
        "adaptive_noise",
        ("adaptive_noise_scale",),
        lambda c: c.value("adaptive_noise_scale") is not None and c.value("noise_offset") is None,
        "adaptive_noise_scale needs noise_offset.",
    ),
    Rule(
        "error",
        "v_pred_scale",
        ("scale_v_pred_loss_like_noise_pred",),
        lambda c: c.on("scale_v_pred_loss_like_noise_pred") and not c.on("v_parameterization"),
        "scale_v_pred_loss_like_noise_pred needs v_parameterization.",
    ),
    Rule(
        "error",
        "v_pred_like",
        ("v_pred_like_loss",),
        lambda c: c.on("v_pred_like_loss") and c.on("v_parameterization"),
        "v_pred_like_loss cannot be used with v_parameterization.",
    ),
    Rule(
        "warning",
        "zero_terminal_snr",
        ("zero_terminal_snr",),
        lambda c: c.on("zero_terminal_snr") and not c.on("v_parameterization"),
        "zero_terminal_snr is for bases with v_parameterization.",
    ),
    Rule(
        "warning",
        "two_noises",
        ("noise_offset", "multires_noise_iterations"),
        lambda c: c.number("noise_offset") > 0 and c.number("multires_noise_iterations") > 0,
        "noise_offset and multires_noise_iterations do the same: keep one.",
    ),
    # SDXL
    Rule("error", "v2", ("v2",), lambda c: c.on("v2"), "v2 is for Stable Diffusion 2: take it away."),
    Rule(
        "warning",
        "clip_skip",
        ("clip_skip",),
        lambda c: c.value("clip_skip") is not None,
        "clip_skip does nothing good with SDXL: take it away.",
    ),
    Rule(
        "error",
        "nothing_trained",
        ("network_train_unet_only", "network_train_text_encoder_only"),
        lambda c: c.on("network_train_unet_only") and c.on("network_train_text_encoder_only"),
        "network_train_unet_only and network_train_text_encoder_only leave nothing to train: keep one.",
    ),
    # buckets
    Rule(
        "warning",
        "no_buckets",
        ("enable_bucket", "resolution"),
        lambda c: not c.on("enable_bucket") and not c.on("dataset_config"),
        "without enable_bucket = true every picture is cropped to the one resolution: heads and feet are lost.",
    ),
    Rule(
        "error",
        "bucket_step",
        ("bucket_reso_steps",),
        lambda c: c.on("enable_bucket") and c.number("bucket_reso_steps") % BUCKET_STEP != 0,
        f"bucket_reso_steps has to be a multiple of {BUCKET_STEP} for SDXL: 64 is usual.",
    ),
    Rule(
        "error",
        "bucket_range",
        ("min_bucket_reso", "max_bucket_reso", "resolution"),
        lambda c: (
            c.on("enable_bucket")
            and bool(_sides(c))
            and not c.number("min_bucket_reso") <= min(_sides(c)) <= max(_sides(c)) <= c.number("max_bucket_reso")
        ),
        "min_bucket_reso, resolution and max_bucket_reso have to rise in this order.",
    ),
    Rule(
        "warning",
        "short_buckets",
        ("max_bucket_reso", "enable_bucket"),
        lambda c: (
            c.on("enable_bucket")
            and not c.on("bucket_no_upscale")
            and bool(_sides(c))
            and c.number("max_bucket_reso") <= max(_sides(c))
        ),
        "a max_bucket_reso no larger than resolution makes tall pictures small, and full bodies are tall: 2048.",
    ),
    # where the pictures come from
    Rule(
        "warning",
        "two_datasets",
        ("dataset_config",),
        lambda c: c.on("dataset_config") and any(key in c.given for key in FOLDER_KEYS),
        f"dataset_config switches {', '.join(FOLDER_KEYS)} off: keep them in that file alone.",
    ),
    # how long, and what is kept
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
    # the machine
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
