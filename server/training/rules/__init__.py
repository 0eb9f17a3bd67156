"""What cannot be together in a configuration, and what is hardly ever meant. Read in sd-scripts' own code, at the
commit of `keys.json`; a rule that only warns says what experience has shown."""

from collections.abc import Iterator

from server.training.config_file import Config, has_slot
from server.training.findings import Finding
from server.training.rules import learning, pictures, running

__all__ = ["RULES", "check_rules"]

RULES = (*running.RULES, *pictures.RULES, *learning.RULES)


def check_rules(config: Config) -> Iterator[Finding]:
    """Every rule that is broken. What still is a placeholder is not looked at again."""
    for rule in RULES:
        open_yet = any(has_slot(config.given.get(name)) for name in rule.keys)
        if not open_yet and rule.broken(config):
            yield Finding(rule.severity, rule.kind, rule.text, config.where(*rule.keys))
