"""Windows and summaries as records of Chroma: verbatim text as the document, everything else as metadata."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from server.ids import Scope
from server.memory.codec import compact, decode_messages, encode_messages
from server.memory.messages import Message
from server.memory.views import Summary
from server.stores.chroma import Record

Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class WindowRecord:
    """A closed window whole. `vectors` [messages, dim] and `fact_vectors` [facts, dim], zero where there is no text."""

    id: str
    epoch: int
    messages: tuple[Message, ...]
    vectors: Matrix
    summary: str | None = None
    facts: tuple[str, ...] = ()
    fact_vectors: Matrix | None = None
    derived: bool = False

    @property
    def raw_messages(self) -> str:
        return encode_messages(self.messages)


def pack_vectors(vectors: Matrix) -> str:
    """[n, dim] as bytes with one scale per row: a quarter of float32; cosines move by less than 0.001."""
    scales = np.abs(vectors).max(axis=1, initial=0.0).astype(np.float32) / 127.0
    steps = vectors / np.where(scales > 0, scales, 1.0)[:, None]
    return base64.b64encode(scales.tobytes() + np.round(steps).astype(np.int8).tobytes()).decode("ascii")


def unpack_vectors(packed: str, rows: int) -> Matrix:
    """What `pack_vectors` packed."""
    raw = base64.b64decode(packed)
    scales = np.frombuffer(raw, np.float32, rows)
    steps = np.frombuffer(raw, np.int8, offset=4 * rows)
    return steps.reshape(rows, -1).astype(np.float32) * scales[:, None]


def window_to_record(scope: Scope, window: WindowRecord) -> Record:
    """Its embedding is the mean of its turns' vectors, of length 1."""
    mean = window.vectors.sum(axis=0)
    length = float(np.linalg.norm(mean))
    if length == 0.0:  # nothing but empty replies: any direction will do
        mean = np.zeros(window.vectors.shape[1], np.float32)
        mean[0] = length = 1.0
    first, last = window.messages[0], window.messages[-1]
    return Record(
        id=window.id,
        embedding=(mean / length).astype(np.float32),
        document=window.raw_messages,
        metadata={
            **_whose(scope, window.epoch),
            "kind": "window",
            "first": first.seq,
            "last": last.seq,
            "start": first.created.isoformat(),
            "end": last.created.isoformat(),
            "vectors": pack_vectors(window.vectors),
            **derived_metadata(window.summary, window.facts, window.fact_vectors, derived=window.derived),
        },
    )


def derived_metadata(
    summary: str | None, facts: Sequence[str], vectors: Matrix | None, *, derived: bool = True
) -> dict[str, str | int | float | bool]:
    """The part of a window's record that a model wrote, or a person."""
    return {
        "derived": derived,
        "summary": summary or "",
        "facts": compact(list(facts)),
        "fact_vectors": pack_vectors(vectors) if vectors is not None and len(facts) else "",
    }


def record_to_window(record: Record) -> WindowRecord:
    data = record.metadata
    epoch = int(data["epoch"])
    messages = decode_messages(record.document, epoch)
    facts = tuple(json.loads(str(data["facts"])))
    return WindowRecord(
        id=record.id,
        epoch=epoch,
        messages=messages,
        vectors=unpack_vectors(str(data["vectors"]), len(messages)),
        summary=str(data["summary"]) or None,
        facts=facts,
        fact_vectors=unpack_vectors(str(data["fact_vectors"]), len(facts)) if facts else None,
        derived=bool(data["derived"]),
    )


def summary_to_record(scope: Scope, epoch: int, id: str, summary: Summary, dim: int) -> Record:
    """A summary is found by its id; its embedding says nothing."""
    embedding = np.zeros(dim, np.float32)
    embedding[0] = 1.0
    return Record(
        id=id,
        embedding=embedding,
        document=summary.text,
        metadata={
            **_whose(scope, epoch),
            "kind": "summary",
            "updated": summary.updated.isoformat(),
            "windows": summary.windows,
            "by": summary.by,
        },
    )


def record_to_summary(record: Record) -> Summary:
    return summary_from_data({**record.metadata, "text": record.document})


def summary_to_data(summary: Summary) -> dict[str, str | int]:
    return {
        "text": summary.text,
        "updated": summary.updated.isoformat(),
        "windows": summary.windows,
        "by": summary.by,
    }


def summary_from_data(data: Mapping[str, str | int | float | bool]) -> Summary:
    return Summary(
        text=str(data["text"]),
        updated=datetime.fromisoformat(str(data["updated"])),
        windows=int(data["windows"]),
        by=str(data["by"]),
    )


def _whose(scope: Scope, epoch: int) -> dict[str, str | int | float | bool]:
    return {
        "tenant": scope.tenant,
        "user": scope.user,
        "character": scope.character,
        "scope": str(scope),
        "epoch": epoch,
    }
