"""What a configuration amounts to: how long it runs, how often each picture is seen, how much memory it wants."""

from collections.abc import Sequence
from dataclasses import dataclass

from server.training.buckets import Buckets, batches
from server.training.config_file import Config

UNET = 2_567_463_684
"""Parameters of SDXL's U-Net."""
TEXT_ENCODERS = 123_060_480 + 694_659_841
"""Parameters of CLIP ViT-L and OpenCLIP ViT-bigG as SDXL has them."""
_GB = 1e9


@dataclass(frozen=True, slots=True)
class Estimate:
    """`pictures` on disk, `seen` of them in an epoch (with repeats), `steps` in all.

    `epochs` is fractional where `max_train_steps` ends within one.
    """

    pictures: int
    seen: int
    steps_per_epoch: int
    epochs: float
    steps: int

    def lines(self) -> list[str]:
        """In words."""
        each = self.steps / self.steps_per_epoch * self.seen / self.pictures
        minutes = self.steps / 60
        return [
            f"{self.pictures} pictures, {self.seen} with repeats: {self.steps_per_epoch} steps per epoch, "
            f"{self.epochs:.1f} epochs, {self.steps:,} steps.",
            f"Each picture is seen {each:.0f} times. At one step per second that is {minutes:.0f} minutes: multiply by "
            "the seconds per step that the trainer shows after its first minute.",
        ]


def estimate(config: Config, pictures: Sequence[tuple[tuple[int, int], int]]) -> Estimate | None:
    """For pictures of these sizes (pixels) with these repeats; None where something essential is missing."""
    if not pictures:
        return None
    buckets = buckets_of(config)
    placed = [(buckets.of(size), repeats) for size, repeats in pictures]
    batch = max(1, int(config.number("train_batch_size")))
    accumulated = max(1, int(config.number("gradient_accumulation_steps")))
    per_epoch = -(-batches(placed, batch) // accumulated)
    epochs = config.number("max_train_epochs")
    steps = int(epochs) * per_epoch if epochs else int(config.number("max_train_steps"))
    return Estimate(len(pictures), sum(repeats for _, repeats in pictures), per_epoch, steps / per_epoch, steps)


def total(parts: Sequence[Estimate | None], config: Config) -> Estimate | None:
    """Several datasets of one run: each epoch goes through all of them."""
    known = [part for part in parts if part is not None]
    if not known:
        return None
    per_epoch = sum(part.steps_per_epoch for part in known)
    epochs = config.number("max_train_epochs")
    steps = int(epochs) * per_epoch if epochs else int(config.number("max_train_steps"))
    pictures, seen = sum(part.pictures for part in known), sum(part.seen for part in known)
    return Estimate(pictures, seen, per_epoch, steps / per_epoch, steps)


def buckets_of(config: Config) -> Buckets:
    """The buckets of a configuration; SDXL's usual ones for what it does not say."""
    sides = [int(part) for part in config.text("resolution").split(",") if part.strip().isdigit()] or [1024]
    return Buckets(
        (sides[0], sides[-1]),
        int(config.number("min_bucket_reso")) or 256,
        int(config.number("max_bucket_reso")) or 1024,
        max(1, int(config.number("bucket_reso_steps"))),
        upscale=not config.on("bucket_no_upscale"),
        enabled=config.on("enable_bucket"),
    )


def memory_lines(config: Config) -> list[str]:
    """What the card has to hold whatever the pictures are, and which settings would lower the rest. In GB (10⁹)."""
    half = config.value("mixed_precision") in ("fp16", "bf16")
    unet_bytes = 1 if config.on("fp8_base") or config.on("fp8_base_unet") else 2 if half else 4
    unet = UNET * unet_bytes / _GB
    cached = config.on("cache_text_encoder_outputs") or config.on("cache_text_encoder_outputs_to_disk")
    text = 0.0 if cached else TEXT_ENCODERS * (2 if half else 4) / _GB
    lines = [
        f"Weights: {unet:.1f} GB for the U-Net"
        + (f", {text:.1f} GB for the text encoders." if text else "; the text encoders leave the card once cached.")
    ]
    hints = [
        text
        for saves, text in (
            (
                not config.on("gradient_checkpointing"),
                "gradient_checkpointing = true saves most: several GB per picture",
            ),
            (
                config.number("train_batch_size") > 1,
                "train_batch_size = 1, with gradient_accumulation_steps in its place",
            ),
            (
                not (config.on("cache_latents") or config.on("cache_latents_to_disk")),
                "cache_latents = true: the VAE leaves",
            ),
            (not cached, "cache_text_encoder_outputs with network_train_unet_only: the text encoders leave"),
            ("8bit" not in config.text("optimizer_type").lower(), "an 8-bit optimizer, such as AdamW8bit"),
            (unet_bytes > 1, "fp8_base_unet = true halves the U-Net's weights"),
        )
        if saves
    ]
    return lines + ([f"If it does not fit: {'; '.join(hints)}."] if hints else [])
