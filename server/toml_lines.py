"""Which line of a TOML file a key stands in: the parser of the standard library does not say."""

import re
from collections.abc import Sequence

_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_DOTTED = rf"((?:{_PART.pattern})(?:\s*\.\s*(?:{_PART.pattern}))*)"
_TABLE = re.compile(rf"\s*\[\[?\s*{_DOTTED}\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(rf"\s*{_DOTTED}\s*=")
_INNER = re.compile(rf"[{{,]\s*{_DOTTED}\s*=")  # of an inline table
_FENCES = ('"' * 3, "'" * 3)

Path = tuple[str, ...]


class Lines:
    """The places of a file's keys, 1-based. The file is known to be valid TOML."""

    def __init__(self, text: str) -> None:
        self._at: dict[Path, int] = {}
        table: Path = ()
        fence: str | None = None
        for number, line in enumerate(text.splitlines(), 1):
            if fence is not None:
                fence = None if fence in line else fence
                continue
            if header := _TABLE.match(line):
                table = _parts(header[1])
                self._note(table, number)
            elif key := _KEY.match(line):
                path = table + _parts(key[1])
                self._note(path, number)
                for inner in _INNER.finditer(line, key.end()):
                    self._note(path + _parts(inner[1]), number)
                fence = next((one for one in _FENCES if line.count(one) % 2), None)

    def of(self, path: Sequence[str | int]) -> int:
        """The line of a path's longest known beginning; 1 where nothing of it is known."""
        known = tuple(str(part) for part in path)
        while known and known not in self._at:
            known = known[:-1]
        return self._at.get(known, 1)

    def _note(self, path: Path, number: int) -> None:
        for end in range(1, len(path) + 1):
            self._at.setdefault(path[:end], number)


def _parts(text: str) -> Path:
    return tuple(part.strip("\"'") for part in _PART.findall(text))
