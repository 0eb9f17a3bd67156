"""Where the pictures come from, how they are sorted into buckets, and what may be kept of them between steps."""

from server.training.config_file import Config
from server.training.rules.model import Rule

__all__ = ["RULES"]

BUCKET_STEP = 32
"""SDXL's: what `bucket_reso_steps` has to be a multiple of."""
FOLDER_KEYS = ("train_data_dir", "reg_data_dir", "in_json", "resolution", "train_batch_size", "caption_extension")


def _caches_text(config: Config) -> bool:
    return config.on("cache_text_encoder_outputs") or config.on("cache_text_encoder_outputs_to_disk")


def _caches_latents(config: Config) -> bool:
    return config.on("cache_latents") or config.on("cache_latents_to_disk")


def _changes_captions(config: Config) -> bool:
    numbers = ("caption_dropout_rate", "caption_tag_dropout_rate", "token_warmup_step")
    return config.on("shuffle_caption") or any(config.number(one) > 0 for one in numbers)


def _sides(config: Config) -> list[int]:
    """`resolution` as the trainer reads it, `1024` or `1024,1024`; empty where it is neither."""
    parts = config.text("resolution").split(",")
    return [int(part) for part in parts if part.strip().isdigit()] if len(parts) in (1, 2) else []


RULES: tuple[Rule, ...] = (
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
    Rule(
        "warning",
        "two_datasets",
        ("dataset_config",),
        lambda c: c.on("dataset_config") and any(key in c.given for key in FOLDER_KEYS),
        f"dataset_config switches {', '.join(FOLDER_KEYS)} off: keep them in that file alone.",
    ),
)
