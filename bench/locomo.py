"""Reads LoCoMo (Maharana et al., 2024, snap-research/locomo). Evaluation only: CC BY-NC 4.0, never part of the repo."""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

CATEGORIES = {1: "multi_hop", 2: "temporal", 3: "open_domain", 4: "single_hop"}  # 5, adversarial, has no answer


@dataclass(frozen=True, slots=True)
class Line:
    """A turn; `seq` counts from 1."""

    seq: int
    speaker: str
    text: str
    created: datetime


@dataclass(frozen=True, slots=True)
class Question:
    """`evidence`: the `seq` of the turns that hold the answer, never empty."""

    text: str
    category: str
    evidence: frozenset[int]


@dataclass(frozen=True, slots=True)
class Conversation:
    id: str
    speakers: tuple[str, str]
    lines: tuple[Line, ...]
    questions: tuple[Question, ...]


def load(path: Path) -> tuple[list[Conversation], str]:
    """All conversations and the file's sha256."""
    raw = path.read_bytes()
    return [_conversation(item) for item in json.loads(raw)], hashlib.sha256(raw).hexdigest()


def _conversation(item: dict) -> Conversation:
    spoken = item["conversation"]
    numbers = sorted(int(key.split("_")[1]) for key, value in spoken.items() if isinstance(value, list))
    lines: list[Line] = []
    seq_of: dict[str, int] = {}
    for number in numbers:
        start = _when(spoken[f"session_{number}_date_time"])
        for at, turn in enumerate(spoken[f"session_{number}"]):
            seq_of[turn["dia_id"]] = len(lines) + 1
            photo = f" [shares a photo: {turn['blip_caption']}]" if turn.get("blip_caption") else ""
            created = start + timedelta(seconds=20 * at)
            lines.append(Line(len(lines) + 1, turn["speaker"], turn["text"] + photo, created))
    questions: list[Question] = []
    for asked in item["qa"]:
        ids = [part for given in asked.get("evidence", []) for part in re.split(r"[;,\s]+", given)]
        evidence = frozenset(seq_of[dia_id] for dia_id in ids if dia_id in seq_of)
        if evidence and asked["category"] in CATEGORIES:
            questions.append(Question(str(asked["question"]), CATEGORIES[asked["category"]], evidence))
    return Conversation(
        str(item["sample_id"]), (spoken["speaker_a"], spoken["speaker_b"]), tuple(lines), tuple(questions)
    )


def _when(text: str) -> datetime:
    """ "1:56 pm on 8 May, 2023"."""
    return datetime.strptime(text.upper(), "%I:%M %p ON %d %B, %Y").replace(tzinfo=UTC)
