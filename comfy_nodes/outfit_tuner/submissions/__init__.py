"""Graphs that are run once however often they are asked for, and their results by key.

A key completes once: whoever asks for it again, from wherever, gets what was filed. What was filed is on disk and
outlives ComfyUI; what was running when ComfyUI stopped is lost, and may be submitted again.
"""

from .errors import GraphRefused, KeyReused, NoSuchResult, PromptIdReused, StillRunning, SubmissionError, Unwritable
from .ledger import Ledger
from .queue import ComfyQueue, Queue, Standing
from .records import Record, Submission, digest
from .service import Submissions

__all__ = [
    "ComfyQueue",
    "GraphRefused",
    "KeyReused",
    "Ledger",
    "NoSuchResult",
    "PromptIdReused",
    "Queue",
    "Record",
    "Standing",
    "StillRunning",
    "Submission",
    "SubmissionError",
    "Submissions",
    "Unwritable",
    "digest",
]
