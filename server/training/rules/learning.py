"""Rank, alpha, rates, optimizer, schedule and loss."""

from server.training.config_file import Config
from server.training.rules.model import Rule

__all__ = ["RULES"]

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


def self_adjusting(config: Config) -> bool:
    """Whether the optimizer finds its own rate, so that `learning_rate` is a factor of about 1."""
    return config.text("optimizer_type").lower().startswith(("dadapt", "prodigy"))


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


RULES: tuple[Rule, ...] = (
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
)
