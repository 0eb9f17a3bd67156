"""Loads the settings and knows where each one came from.

Precedence, highest first: flags, the environment, `vestige.toml`, the default. A key nobody knows, a value that does
not fit or two settings that contradict each other end in one `SettingsError` line that names the place.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsConfigDict
from pydantic_settings import SettingsError as SourceError

from server.errors import SettingsError
from server.settings import DEFAULT_FILE, Settings

PREFIX = "VESTIGE_"
CONFIG_VARIABLE = "VESTIGE_CONFIG"
PACK_VARIABLES = frozenset({"VESTIGE_PACK_TOKEN", "VESTIGE_REFERENCE_HOSTS", "VESTIGE_CACHE_MB"})
"""The node pack's: on a machine that runs both they are no settings of the server's, and no mistake."""
MASK = "********"


@dataclass(frozen=True, slots=True)
class Loaded:
    """The effective settings. `sources` says for each field: `--flag`, `$VARIABLE`, the file's path, or `default`."""

    settings: Settings
    sources: Mapping[str, str]

    def rows(self) -> list[tuple[str, str, str]]:
        """`(name, value, source)` of every setting; secrets are masked."""
        return [(name, _shown(getattr(self.settings, name)), self.sources[name]) for name in Settings.model_fields]


def load(flags: Mapping[str, object] | None = None, *, file: Path | None = None) -> Loaded:
    """The effective settings of this process.

    Args:
        flags: what the command line gave, by field name; None means not given.
        file: the settings file; otherwise `$VESTIGE_CONFIG`, or `vestige.toml` in the current folder if there is one.

    Raises:
        SettingsError: one line that says which setting is wrong, where it was set and what would be right.
    """
    path = _settings_file(file)
    from_file = _read(path) if path else {}
    given: dict[str, Any] = {name: value for name, value in (flags or {}).items() if value is not None}
    sources = dict.fromkeys(Settings.model_fields, "default")
    sources |= dict.fromkeys(from_file, str(path))
    sources |= {name: f"${variable}" for name, variable in _variables().items()}
    sources |= {name: f"--{name.replace('_', '-')}" for name in given}

    class Located(Settings):
        model_config = SettingsConfigDict(toml_file=path)

    try:
        return Loaded(Located(**given), sources)
    except ValidationError as error:
        raise SettingsError(_sentence(error.errors()[0], sources)) from None
    except SourceError as error:
        raise SettingsError(f"The environment has a setting that cannot be read: {error}.") from None


def _settings_file(given: Path | None) -> Path | None:
    named = given or (Path(value) if (value := os.environ.get(CONFIG_VARIABLE)) else None)
    if named is None:
        found = Path(DEFAULT_FILE).absolute()
        return found if found.is_file() else None
    if not named.is_file():
        raise SettingsError(f"The settings file {named} does not exist.")
    return named.absolute()


def _read(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"The settings file {path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"The settings file {path} is not valid TOML: {error}.") from None
    for name in content:
        if name not in Settings.model_fields:
            raise SettingsError(f"{path} has an unknown setting {name!r}{_meant(name, Settings.model_fields)}")
    return content


def _variables() -> dict[str, str]:
    """Field name → the environment variable that sets it.

    Raises:
        SettingsError: a `VESTIGE_…` variable that is no setting.
    """
    known: dict[str, str] = {}
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        choices = [str(c) for c in alias.choices] if isinstance(alias, AliasChoices) else [f"{PREFIX}{name.upper()}"]
        known |= dict.fromkeys(reversed([choice for choice in choices if choice.isupper()]), name)
    for variable in os.environ:
        if variable.startswith(PREFIX) and variable not in {*known, CONFIG_VARIABLE, *PACK_VARIABLES}:
            raise SettingsError(f"The environment has an unknown setting {variable}{_meant(variable, known)}")
    return {name: variable for variable, name in known.items() if variable in os.environ}


def _meant(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else "; `vestige config` lists the known ones."


def _sentence(error: ErrorDetails, sources: Mapping[str, str]) -> str:
    path = ".".join(str(part) for part in error["loc"]).lower()
    message = error["msg"].removeprefix("Value error, ")
    if not path:
        return f"The settings contradict each other: {message}."
    field = str(error["loc"][0]).lower().removeprefix(PREFIX.lower())
    source = sources.get(field, "default")
    return f"The setting {path.removeprefix(PREFIX.lower())} ({source}) is wrong: {message}."


def _shown(value: object) -> str:
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_shown(item)}" for key, item in value.items())
    if isinstance(value, BaseModel):
        return ", ".join(f"{name}={_shown(getattr(value, name))}" for name in type(value).model_fields)
    if isinstance(value, tuple | list):
        return ", ".join(map(_shown, value))
    return "" if value is None else str(value)
