"""A trainer's configuration as the trainer reads it: sections are flattened, and the last of two equal keys wins."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.toml_lines import Lines
from server.training.findings import Finding, TrainingError
from server.training.keys import Keys

MAX_BYTES = 1 << 20
SLOT = re.compile(r"<tune(?::[^<>]*)?>")
"""What stands in a template wherever the subject decides."""


@dataclass(frozen=True)
class Config:
    """The keys that were given, with the line of each, over the trainer's defaults."""

    name: str
    folder: Path
    given: Mapping[str, Any]
    lines: Mapping[str, int]
    keys: Keys

    def value(self, name: str) -> Any:
        """What the trainer would have; its default where the file says nothing."""
        return self.given[name] if name in self.given else self.keys.by_name[name].default

    def on(self, name: str) -> bool:
        """Whether a flag is set, or a text is there."""
        return bool(self.value(name))

    def number(self, name: str) -> float:
        """A number; 0 where there is none, or something else."""
        value = self.value(name)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0

    def text(self, name: str) -> str:
        value = self.value(name)
        return value if isinstance(value, str) else ""

    def path(self, name: str) -> Path | None:
        """A path that the file names. The trainer reads relative ones from the folder it is started in, and
        `train.sh` starts it in the folder of the file."""
        text = self.text(name)
        return self.folder / Path(text).expanduser() if text and not SLOT.search(text) else None

    def where(self, *names: str) -> str:
        """The file and the line of the first of these keys that was given."""
        line = next((self.lines[name] for name in names if name in self.lines), None)
        return self.name if line is None else f"{self.name}:{line}"


def has_slot(value: object) -> bool:
    """Whether a value is, or holds, a placeholder of a template."""
    if isinstance(value, list):
        return any(has_slot(one) for one in value)
    return isinstance(value, str) and SLOT.search(value) is not None


def read_config(path: Path, keys: Keys) -> tuple[Config, list[Finding]]:
    """The file, and what its shape alone says.

    Raises:
        TrainingError: it cannot be read, or is no TOML.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TrainingError(f"{path} cannot be read: {error.strerror or error}.") from None
    if len(data) > MAX_BYTES:
        raise TrainingError(f"{path} is larger than {MAX_BYTES >> 20} MB: that is no configuration.")
    try:
        text = data.decode("utf-8-sig")
        document = tomllib.loads(text)
    except UnicodeDecodeError:
        raise TrainingError(f"{path} is not UTF-8: save it as UTF-8, as the trainer reads it.") from None
    except tomllib.TOMLDecodeError as error:
        raise TrainingError(f"{path} is no valid TOML: {error}.") from None
    places, findings = Lines(text), list[Finding]()
    given: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for name, value, line in _flattened(document, places):
        if name in lines:
            again = f"{name} stands in line {lines[name]} too: the trainer takes the last one. Delete one of them."
            findings.append(Finding("error", "twice", again, f"{path.name}:{line}"))
        given[name], lines[name] = value, line
    if data.startswith(b"\xef\xbb\xbf"):
        findings.append(
            Finding("error", "byte_order_mark", "It begins with a byte order mark, which the trainer does not read.")
        )
    return Config(path.name, path.absolute().parent, given, lines, keys), findings


def check_keys(config: Config) -> Iterator[Finding]:
    """Every key that the trainer would pass over, and every value that it would not understand."""
    for name, value in config.given.items():
        where = config.where(name)
        if has_slot(value):
            yield Finding("error", "slot", f"{name} still holds a placeholder: put your value there.", where)
            continue
        key = config.keys.by_name.get(name)
        if key is None:
            yield Finding("error", "unknown_key", _unknown(config, name), where)
        elif name == "text_encoder_lr" and isinstance(value, int | float) and not isinstance(value, bool):
            continue  # the trainer takes a bare number for this one list
        elif not key.takes(value):
            yield Finding("error", "wrong_value", f"{name} is {value!r}: it takes {key.wants}.{_hint(value)}", where)


def _unknown(config: Config, name: str) -> str:
    if name in ("text_encoder_lr1", "text_encoder_lr2"):
        return (
            f"nothing in the trainer reads {name}, though its own guide names it: write text_encoder_lr = [5e-5]. "
            "With networks.lora both text encoders have this one rate."
        )
    if isinstance(config.given[name], Mapping):
        return f"{name} is a section within a section: the trainer opens one level only and would pass over it."
    like = config.keys.like(name)
    meant = f" Did you mean {like}?" if like else ""
    return f"the trainer does not know {name} and would pass over it silently.{meant}"


def _hint(value: object) -> str:
    if isinstance(value, str):
        bare = value.strip()
        if re.fullmatch(r"[-+]?\d+(\.\d+)?([eE][-+]?\d+)?|true|false", bare.lower()):
            return f" Without quotes: {bare.lower()}."
        if bare in ("True", "False"):
            return f" Write {bare.lower()}."
    return ""


def _flattened(document: Mapping[str, Any], places: Lines) -> Iterator[tuple[str, Any, int]]:
    for name, value in document.items():
        if isinstance(value, Mapping):
            for inner, its in value.items():
                yield inner, its, places.of((name, inner))
        else:
            yield name, value, places.of((name,))
