"""Why a graph was not taken, or a result is not there.

SubmissionError
├─ GraphRefused      graph_refused      ComfyUI would not run it, or not all of it
├─ KeyReused         key_reused         the key stands for another graph
├─ PromptIdReused    prompt_id_reused   the prompt id stands for another key or graph
├─ StillRunning      still_running      a result that is not there yet cannot be deleted
├─ NoSuchResult      no_such_result
└─ Unwritable        results_unwritable the folder for results cannot be written to
"""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = [
    "GraphRefused",
    "KeyReused",
    "NoSuchResult",
    "PromptIdReused",
    "StillRunning",
    "SubmissionError",
    "Unwritable",
]


class SubmissionError(Exception):
    """The message says what to do; `details` goes to programs."""

    code: ClassVar[str]

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.details = details


class GraphRefused(SubmissionError):
    code = "graph_refused"


class KeyReused(SubmissionError):
    code = "key_reused"


class PromptIdReused(SubmissionError):
    code = "prompt_id_reused"


class StillRunning(SubmissionError):
    code = "still_running"


class NoSuchResult(SubmissionError):
    code = "no_such_result"


class Unwritable(SubmissionError):
    code = "results_unwritable"
