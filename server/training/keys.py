"""The keys that the trainer knows, as data with the commit they were read at."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

__all__ = ["FILE", "Key", "Keys", "Kind", "known_keys", "written"]

FILE = Path(__file__).with_name("keys.json")
Kind = Literal["text", "integer", "number", "flag"]
_NAMES: Mapping[Kind, str] = {
    "text": "text",
    "integer": "a whole number",
    "number": "a number",
    "flag": "true or false",
}


@dataclass(frozen=True, slots=True)
class Key:
    """One key. `many`: it takes a list. `choices` empty: whatever is of its kind. `default`: where it is not given."""

    name: str
    kind: Kind
    many: bool
    choices: tuple[Any, ...]
    default: Any

    @property
    def wants(self) -> str:
        """What it takes, in words."""
        if self.choices:
            return f"one of {', '.join(str(one) for one in self.choices)}"
        return f"a list, each {_NAMES[self.kind]}" if self.many else _NAMES[self.kind]

    def takes(self, value: object) -> bool:
        """Whether the trainer would read this value as it is meant. From TOML it takes anything and checks nothing."""
        if self.many:
            return isinstance(value, list) and all(self._is_one(one) for one in value)
        return self._is_one(value)

    def _is_one(self, value: object) -> bool:
        match self.kind:
            case "flag":
                fits = isinstance(value, bool)
            case "integer":
                fits = isinstance(value, int) and not isinstance(value, bool)
            case "number":
                fits = isinstance(value, int | float) and not isinstance(value, bool)
            case "text":
                fits = isinstance(value, str)
        return fits and (not self.choices or value in self.choices)


@dataclass(frozen=True, slots=True)
class Keys:
    """All keys by name, and the commit of sd-scripts they were read at."""

    commit: str
    by_name: Mapping[str, Key]

    def like(self, name: str) -> str | None:
        """The key that was perhaps meant."""
        close = difflib.get_close_matches(name.lower().replace("-", "_"), self.by_name, n=1, cutoff=0.75)
        return close[0] if close else None


@cache
def known_keys() -> Keys:
    """The keys that come with this version."""
    document = json.loads(FILE.read_text(encoding="utf-8"))
    return Keys(
        document["commit"],
        {one["name"]: Key(**{**one, "choices": tuple(one["choices"])}) for one in document["keys"]},
    )


def written(keys: Keys) -> str:
    """The data file for these keys."""
    rows = ",\n".join("    " + json.dumps(asdict(key)) for key in keys.by_name.values())
    source = "sdxl_train_network.py of kohya-ss/sd-scripts"
    return f'{{\n  "source": "{source}",\n  "commit": "{keys.commit}",\n  "keys": [\n{rows}\n  ]\n}}\n'
