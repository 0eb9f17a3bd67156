"""The reference of all settings, written from the settings themselves."""

from pydantic import AliasChoices
from pydantic_core import PydanticUndefined

from server.settings import Plan, Settings

HEAD = """# Settings

Precedence, highest first: flags of `vestige serve`, the environment, `vestige.toml`, the default. A key nobody knows or
two settings that contradict each other stop the start with one line. `vestige config` prints the effective values with
secrets masked and says where each came from. This page is written by `vestige config --reference`.

| key in `vestige.toml` | environment | default | what it does |
| --- | --- | --- | --- |
"""

TAIL = """
A plan is a table of its own:

```toml
[plans.free]
"""


def settings_reference() -> str:
    """`docs/settings.md`, as Markdown."""
    rows = []
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        known = [str(c) for c in alias.choices if str(c).isupper()] if isinstance(alias, AliasChoices) else []
        variable = known[-1] if known else f"VESTIGE_{name.upper()}"
        default = "per user" if name == "data" else "below" if name == "plans" else _default(field.default)
        rows.append(f"| `{name}` | `{variable}` | {default} | {' '.join((field.description or '').split())} |\n")
    plan = [_line(name, field.default) for name, field in Plan.model_fields.items()]
    return HEAD + "".join(rows) + TAIL + "".join(plan) + "```\n"


def _line(name: str, default: object) -> str:
    return f"# {name}: none\n" if default is None else f"{name} = {default}\n"


def _default(value: object) -> str:
    if value is PydanticUndefined or value is None or value in ((), ""):
        return "–"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
