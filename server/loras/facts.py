"""What a LoRA's header tells, whoever trained it: sd-scripts, LyCORIS, OneTrainer, ai-toolkit, diffusers.

Each trainer writes other keys. Tensors are called alike in all of them: where no key says so, they give the dim, and
the first alpha its value.
"""

import json
import math
import re
import struct
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from server.errors import InvalidLora
from server.loras.header import Header, Tensor
from server.loras.lineage import lineage
from server.loras.records import LoraFacts

__all__ = ["embedded_hash", "read_facts"]

ReadAt = Callable[[int, int], bytes]
"""`(place, length)` in bytes → that much of the file."""

_MOST_TAGS = 50
_LONGEST_TEXT = 200
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DOWN = re.compile(r"[._](?:lora_down|lora_A|lora\.down|down|hada_w1_b|lokr_w[12]_b)(?:\.default)?(?:\.weight)?$")
_PART = re.compile(
    r"""[._](?:
      (?:lora_(?:down|up|mid|A|B)|lora\.(?:down|up|mid)|lora_linear_layer\.(?:down|up)|(?:to_[qkv]|to_out)_lora\.(?:down|up))
        (?:\.default)?\.(?:weight|bias)
    | hada_(?:w[12]_[ab]|t[12]) | lokr_(?:w[12](?:_[ab])?|t[12])
    | oft_(?:blocks|diag|R(?:\.weight)?) | [ab][12]\.weight | on_input
    | alpha | scale | scalar | rescale | rank | dora_scale | lora_magnitude_vector(?:\.default)?(?:\.weight)?
    | diff(?:_b)? | set_weight | w_norm | b_norm | reshape_weight | bias_(?:indices|values|size)
    )$""",
    re.VERBOSE,
)
_BUNDLED = re.compile(r"bundle_emb\..+|emb_params|clip_[lg]")  # embeddings that trainers put beside the layers
_ALGORITHMS = (
    ("loha", re.compile(r"\.hada_")),
    ("lokr", re.compile(r"\.lokr_")),
    ("oft", re.compile(r"\.oft_")),
    ("glora", re.compile(r"\.[ab][12]\.weight$")),
    ("lora", re.compile(r"lora[._](?:down|A|linear_layer)|_lora\.down")),
    ("full", re.compile(r"\.(?:diff|set_weight)$")),
)
_FLOATS = {"F16": "<e", "F32": "<f", "F64": "<d"}


def read_facts(header: Header, read_at: ReadAt) -> LoraFacts:
    """The facts of a file whose header was read; `read_at` gives the value of one alpha.

    Raises:
        InvalidLora: it is no LoRA, or holds a tensor that belongs to none.
    """
    tensors, metadata = header.tensors, header.metadata
    network = _network(tensors)
    more = _more(metadata)
    tags = _tags(metadata.get("ss_tag_frequency", ""))
    names = [text for text in (_text(metadata.get("ss_sd_model_name")), _text(more.get("base"))) if text]
    descent = lineage(tensors, metadata, names)
    return LoraFacts(
        trainer=_trainer(tensors, metadata),
        network=network,
        dim=_whole(metadata.get("ss_network_dim")) or _whole(more.get("dim")) or _dim(tensors),
        alpha=_first(metadata.get("ss_network_alpha"), more.get("alpha")) or _alpha(tensors, read_at),
        steps=_whole(metadata.get("ss_steps")) or _whole(more.get("steps")),
        epochs=_whole(metadata.get("ss_epoch")) or _whole(more.get("epochs")),
        images=_whole(metadata.get("ss_num_train_images")),
        tags=tags,
        title=_text(metadata.get("modelspec.title"))
        or _text(metadata.get("ss_output_name"))
        or _text(metadata.get("name")),
        trained=_time(metadata),
        base_family=descent.family,
        base_name=names[0] if names else None,
        base_sha256=descent.sha256,
        evidence=descent.evidence,
        tensors=len(tensors),
        dtype=Counter(tensor.dtype for tensor in tensors.values()).most_common(1)[0][0],
    )


def embedded_hash(metadata: Mapping[str, str]) -> str | None:
    """The sha256 of the weights as the trainer wrote it down, in lower-case hex."""
    found = metadata.get("sshs_model_hash", "").lower().removeprefix("0x")
    return found if _SHA256.fullmatch(found) else None


def _network(tensors: Mapping[str, Tensor]) -> str:
    """The algorithm, in the words of LyCORIS; DoRA where magnitudes are trained apart.

    Raises:
        InvalidLora: see `read_facts`.
    """
    foreign = next((name for name in tensors if not _PART.search(name) and not _BUNDLED.fullmatch(name)), None)
    found = next((name for name, parts in _ALGORITHMS if any(map(parts.search, tensors))), None)
    if found is None:
        raise InvalidLora("The file is no LoRA: none of its tensors belongs to one.")
    if foreign is not None:
        shown = "".join(c if c.isprintable() else "?" for c in foreign[:80])
        raise InvalidLora(f"The file holds '{shown}', which is no part of a LoRA.")
    if any(name.endswith("dora_scale") or "lora_magnitude_vector" in name for name in tensors):
        return "dora"
    kernels = (tensor.shape[2:] for name, tensor in tensors.items() if _DOWN.search(name))
    return "locon" if found == "lora" and any(kernel and kernel != (1, 1) for kernel in kernels) else found


def _trainer(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str | None:
    software = _object(metadata.get("software", "")).get("name") or metadata.get("software", "")
    if software == "ai-toolkit":
        return "ai-toolkit"
    if any(key.startswith("ot_") for key in metadata):
        return "OneTrainer"
    if any(key.startswith("ss_") for key in metadata):
        return "sd-scripts"
    if any(name.startswith(("unet.", "transformer.", "text_encoder")) for name in tensors):
        return "diffusers"
    return None


def _more(metadata: Mapping[str, str]) -> dict[str, Any]:
    """`dim`, `alpha`, `steps`, `epochs` and `base` as trainers other than sd-scripts write them."""
    one = _object(metadata.get("ot_config", ""))
    training = _object(metadata.get("training_info", ""))
    peft = _object(metadata.get("lora_adapter_metadata", ""))
    part = next((key.removesuffix(".r") for key in peft if key.endswith(".r")), "unet")
    return {
        "dim": one.get("lora_rank") or peft.get(f"{part}.r"),
        "alpha": one.get("lora_alpha") or peft.get(f"{part}.lora_alpha"),
        "steps": training.get("step"),
        "epochs": training.get("epoch") or one.get("epochs"),
        "base": one.get("base_model_name"),
    }


def _dim(tensors: Mapping[str, Tensor]) -> int | None:
    """The rank that most layers have."""
    ranks = Counter(tensor.shape[0] for name, tensor in tensors.items() if _DOWN.search(name) and tensor.shape)
    return ranks.most_common(1)[0][0] if ranks else None


def _alpha(tensors: Mapping[str, Tensor], read_at: ReadAt) -> float | None:
    for name, tensor in tensors.items():
        if name.endswith(".alpha") and math.prod(tensor.shape) == 1:
            data = read_at(tensor.begin, tensor.end - tensor.begin)
            if tensor.dtype == "BF16":
                data, form = b"\x00\x00" + data, "<f"
            else:
                form = _FLOATS.get(tensor.dtype, "")
            value = struct.unpack(form, data)[0] if form else math.nan
            return value if math.isfinite(value) else None
    return None


def _tags(text: str) -> tuple[tuple[str, int], ...]:
    """Tags of all folders together, the most frequent first."""
    counts: Counter[str] = Counter()
    for folder in _object(text).values():
        for tag, count in folder.items() if isinstance(folder, dict) else ():
            if type(count) is int and 0 < count < 2**31 and (clean := _text(tag)):
                counts[clean] += count
    return tuple(counts.most_common(_MOST_TAGS))


def _time(metadata: Mapping[str, str]) -> datetime | None:
    seconds = _first(metadata.get("ss_training_finished_at"))
    try:
        if seconds:
            return datetime.fromtimestamp(seconds, UTC)
        found = datetime.fromisoformat(metadata.get("modelspec.date", ""))
    except (ValueError, OverflowError, OSError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _object(text: str) -> dict[str, Any]:
    """JSON within the metadata: an object, or an empty one."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str | None:
    """Text on one line; sd-scripts writes Python's None."""
    if not isinstance(value, str) or value == "None":
        return None
    return "".join(c if c.isprintable() else " " for c in value[:_LONGEST_TEXT]).strip() or None


def _first(*values: object) -> float | None:
    """The first value that is a number."""
    for value in values:
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            try:
                number = float(value)
            except (ValueError, OverflowError):
                continue
            if math.isfinite(number):
                return number
    return None


def _whole(value: object) -> int | None:
    number = _first(value)
    return int(number) if number is not None and 0 <= number < 2**53 else None
