"""Reads `routing.toml`. A key nobody knows, a value that does not fit or a name that leads nowhere has its line."""

import re
import tomllib
from collections.abc import Collection
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from server.errors import SettingsError
from server.routing.policy.model import Chain, PolicyFile, Tier
from server.routing.policy.problems import Noted, Problem, check_advice, check_plans, check_references, meant
from server.toml_lines import Lines

EXAMPLE = "free.toml"
MAX_BYTES = 1 << 20


def example() -> str:
    """The policy that ships with us: models that cost nothing."""
    return files("server.routing.policy").joinpath(EXAMPLE).read_text(encoding="utf-8")


def read_policy(text: str, plans: Collection[str] | None = None) -> tuple[PolicyFile | None, list[Problem]]:
    """The policy, None where it cannot be used, and all that is wrong with it. `plans`: tiers that must be there."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at line (\d+), column \d+\)", str(error))
        line = int(place[1]) if place else text.count("\n") + 1
        message = str(error).split(" (at ")[0]
        return None, [Problem(line, "the file", f"it is no valid TOML: {message[:1].lower()}{message[1:]}")]
    noted = Noted(Lines(text))
    try:
        policy = PolicyFile.model_validate(content)
    except ValidationError as error:
        for one in error.errors(include_url=False, include_input=False):
            noted.error(*_explained(one))
        return None, _sorted(noted.found)
    check_references(policy, noted)
    if plans is not None:
        check_plans(policy, plans, noted)
    if any(problem.fatal for problem in noted.found):
        return None, _sorted(noted.found)
    check_advice(policy, noted)
    return policy, _sorted(noted.found)


def load_policy(path: Path, plans: Collection[str] | None = None) -> PolicyFile:
    """The policy in a file.

    Raises:
        SettingsError: it cannot be read or used; one line with file, line and key of what comes first.
    """
    policy, problems = read_policy(read_text(path), plans)
    if policy is None:
        fatal = [problem for problem in problems if problem.fatal]
        more = f" ({len(fatal) - 1} more: vestige routing check)" if len(fatal) > 1 else ""
        raise SettingsError(f"{fatal[0].at(str(path))}.{more}")
    return policy


def read_text(path: Path) -> str:
    """Raises:
    SettingsError: the file cannot be read.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SettingsError(f"The routing file {path} is larger than 1 MB.")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"The routing file {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise SettingsError(f"The routing file {path} is no UTF-8 text.") from None


def _sorted(problems: list[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: (not problem.fatal, problem.line))


def _explained(error: ErrorDetails) -> tuple[tuple[str | int, ...], str]:
    path = error["loc"]
    if error["type"] == "extra_forbidden":
        return path, f"unknown key{meant(str(path[-1]), _known_keys(path[:-1]))}"
    if error["type"] == "missing":
        return path, "it is missing"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "string_pattern_mismatch":
        message = "characters that cannot be in it"
    message = message.replace("Input should be", "must be").replace("should have", "must have")
    return path[:-1] if path[-1] == "[key]" else path, message[:1].lower() + message[1:]


def _known_keys(path: tuple[str | int, ...]) -> list[str]:
    """The keys that may stand at `path`."""
    at: Any = PolicyFile
    for part in path:
        if isinstance(at, type) and issubclass(at, BaseModel):
            if at is Tier and part not in at.model_fields:
                at = Chain
                continue
            at = at.model_fields[str(part)].annotation if part in at.model_fields else None
        elif at is not None:  # a dict's values
            at = at.__args__[1]
        for inner in getattr(at, "__args__", ()):
            if getattr(at, "__origin__", None) is not dict and isinstance(inner, type) and issubclass(inner, BaseModel):
                at = inner
                break
    return list(at.model_fields) if isinstance(at, type) and issubclass(at, BaseModel) else []
