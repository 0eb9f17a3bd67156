"""The two names a card leaves open: `{{char}}` and `{{user}}`, in the old form `<BOT>` and `<USER>`."""

import re

_MACRO = re.compile(r"\{\{\s*(char|user)\s*\}\}|<(char|bot|user)>", re.IGNORECASE)


def expand(text: str, char: str, user: str) -> str:
    """`text` with the names in place, in one pass: a name that contains a macro stays as it is.

    Every other macro (`{{random:…}}`, `{{roll:…}}`, `{{// …}}`) is left as written; none is evaluated.
    """

    def name(match: re.Match[str]) -> str:
        return user if (match[1] or match[2]).lower() == "user" else char

    return _MACRO.sub(name, text)
