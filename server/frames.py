"""Where an unforeseen error came from, without what it says: its message may quote what a person wrote."""

import traceback

__all__ = ["frames", "kinds"]

_CAUSES = 5
_FRAMES = 12


def kinds(error: BaseException) -> list[str]:
    """The classes of an error and of what caused it."""
    found: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(found) < _CAUSES:
        found.append(type(cause).__qualname__)
        cause = cause.__cause__ or cause.__context__
    return found


def frames(error: BaseException) -> list[str]:
    """The innermost lines it came through."""
    innermost = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in innermost]
