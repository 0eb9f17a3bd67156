"""Reads `policy.toml`, and the examples that ship. A mistake has its line and key."""

import tomllib
from collections.abc import Collection, Mapping
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from server.errors import SettingsError
from server.policy.model import NEVER, SELF_HARM, ContentPolicy
from server.toml_lines import Lines

EXAMPLES = "examples.toml"
EXAMPLE_FILE = "example.toml"
MAX_BYTES = 4 << 20
TAMEST = "general"
"""The shipped examples of ordinary talk: for a policy whose first level has another name they are that level's."""

Examples = Mapping[str, tuple[str, ...]]


def example() -> str:
    """The policy file that ships, to begin with."""
    return _shipped_text(EXAMPLE_FILE)


def shipped_examples() -> dict[str, tuple[str, ...]]:
    """Label → the sentences that ship."""
    return {label: tuple(texts) for label, texts in tomllib.loads(_shipped_text(EXAMPLES)).items()}


def load_policy(path: Path | None, plans: Collection[str] | None = None) -> ContentPolicy:
    """The policy in a file, or the one of a server without.

    Raises:
        SettingsError: it cannot be read or used, or does not say how far a plan of `plans` goes.
    """
    if path is None:
        return ContentPolicy()
    policy = read_policy(_read(path), str(path))
    for plan in plans or ():
        if plan not in policy.plans:
            raise SettingsError(f"{path}: plans: it does not say how far the plan {plan!r} goes.")
    return policy


def read_policy(text: str, name: str) -> ContentPolicy:
    """The policy in a text that comes from `name`.

    Raises:
        SettingsError: it is no TOML, or something in it cannot be.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"The policy file {name} is no valid TOML: {error}.") from None
    try:
        policy = ContentPolicy.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = first["loc"]
        line, key = Lines(text).of(path), ".".join(map(str, path)) or "the file"
        message = "unknown key" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{name}:{line}: {key}: {message[:1].lower()}{message[1:]}.") from None
    if policy.classifier == "examples":
        examples_of(policy, name)
    return policy


def examples_of(policy: ContentPolicy, name: str = "the policy") -> Examples:
    """Label → its examples: the policy's own, after those that ship for a label of that name.

    A level that the policy does not have lends its examples to the highest level where there is only one.

    Raises:
        SettingsError: a level has none.
    """
    found: dict[str, tuple[str, ...]] = dict.fromkeys((*policy.levels, NEVER, SELF_HARM), ())
    if policy.shipped:
        for label, texts in shipped_examples().items():
            if label in found:
                found[label] += texts
            elif label == TAMEST or policy.open:
                found[policy.levels[0]] += texts
    for label, texts in policy.examples.items():
        found[label] += texts
    for label in policy.levels:
        if not found[label] and not policy.phrases.get(label):
            raise SettingsError(f"{name}: examples: the level {label!r} has no examples, so nothing could be of it.")
    if not found[policy.levels[0]]:
        raise SettingsError(f"{name}: examples: the level {policy.levels[0]!r} needs examples of ordinary talk.")
    return found


def _shipped_text(name: str) -> str:
    return files("server.policy").joinpath(name).read_text(encoding="utf-8")


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SettingsError(f"The policy file {path} is larger than 4 MB.")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"The policy file {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise SettingsError(f"The policy file {path} is no UTF-8 text.") from None
