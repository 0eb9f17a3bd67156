"""How well a policy tells messages apart: messages with their levels, held against what the classifier says."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from server.errors import SettingsError
from server.policy.classifier import Classifier, Intent, Reading
from server.policy.model import NEVER, SELF_HARM, ContentPolicy

MAX_CASES = 100_000


class Case(BaseModel):
    """A line of the file. `before`: the person's messages before it; `system`: system text that came with it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: Annotated[str, Field(min_length=1)]
    level: str
    before: tuple[str, ...] = ()
    system: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evaluation:
    """`counts[true, read]`; a label is a level, `never` or `self_harm`. Rates are None where nothing could go wrong."""

    labels: Sequence[str]
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[tuple[Case, str]] = field(default_factory=list)

    def accuracy(self) -> float:
        """The share of cases that were read as they are labelled."""
        return sum(self.counts[label, label] for label in self.labels) / max(1, self.counts.total())

    def false_allows(self, policy: ContentPolicy, ceiling: str) -> tuple[int, int]:
        """`(let through, above)`: cases above `ceiling`, and those of them that a plan with it would have answered.

        Whoever may be in danger is above no ceiling, and is let through by nothing but a missed signal.
        """
        return self._missed(policy, ceiling, above=True)

    def false_declines(self, policy: ContentPolicy, ceiling: str) -> tuple[int, int]:
        """`(declined, within)`: cases within `ceiling`, and those of them that would not have been answered."""
        return self._missed(policy, ceiling, above=False)

    def missed_signals(self) -> tuple[int, int]:
        """`(missed, all)` of the cases in which a person may be in danger."""
        found = {read: count for (true, read), count in self.counts.items() if true == SELF_HARM}
        return sum(count for read, count in found.items() if read != SELF_HARM), sum(found.values())

    def _missed(self, policy: ContentPolicy, ceiling: str, *, above: bool) -> tuple[int, int]:
        limit = policy.rank(ceiling)
        missed = total = 0
        for (true, read), count in self.counts.items():
            if true == SELF_HARM or (policy.rank(true) > limit) != above:
                continue
            answered = read != SELF_HARM and policy.rank(read) <= limit
            total += count
            missed += count if answered == above else 0
        return missed, total


def read_cases(path: Path, policy: ContentPolicy) -> list[Case]:
    """The cases of a file of JSON lines.

    Raises:
        SettingsError: the file cannot be read, or a line is no case or names a level that the policy does not have.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise SettingsError(f"The file {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise SettingsError(f"The file {path} is no UTF-8 text.") from None
    known = (*policy.levels, NEVER, SELF_HARM)
    cases = [_case(line, f"{path}:{number}", known) for number, line in enumerate(lines, 1) if line.strip()]
    if not 0 < len(cases) <= MAX_CASES:
        raise SettingsError(f"The file {path} holds {len(cases):,} cases: 1 to {MAX_CASES:,} can be read.")
    return cases


async def evaluate(policy: ContentPolicy, classifier: Classifier, cases: Iterable[Case]) -> Evaluation:
    """What the classifier says of each case."""
    found = Evaluation((*policy.levels, NEVER, SELF_HARM))
    for case in cases:
        read = _label(await classifier.read(Intent([case.text], case.before, standing=case.system)))
        found.counts[case.level, read] += 1
        if read != case.level:
            found.wrong.append((case, read))
    return found


def _label(reading: Reading) -> str:
    return SELF_HARM if reading.self_harm else reading.level


def _case(line: str, place: str, known: Sequence[str]) -> Case:
    try:
        case = Case.model_validate(json.loads(line))
    except (ValueError, RecursionError) as error:
        problem = error.errors()[0]["msg"] if isinstance(error, ValidationError) else "it is no JSON"
        raise SettingsError(f'{place}: no case such as {{"text": "…", "level": "general"}}: {problem}.') from None
    if case.level not in known:
        raise SettingsError(f"{place}: there is no level {case.level!r}: there is {', '.join(known)}.")
    return case
