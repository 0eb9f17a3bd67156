"""Which message of a client's history is which stored one. Pure, by content: clients send no ids of ours."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from server.memory.messages import Role


@dataclass(frozen=True, slots=True)
class Said:
    """A message as a client shows it. `fits`: it is short enough to be stored, should it have to be."""

    role: Role
    text: str
    fits: bool = True

    @property
    def key(self) -> str:
        return key(self.text)


@dataclass(frozen=True, slots=True)
class Kept:
    """A stored message. `forms`: how clients may show it, as `(key, alternative)`, the chosen one's first.

    `chat`: the client's chat it was said in, None where it was said elsewhere. `reply`: it answers somebody, so that a
    client which shows it word for word has been there. `whole` is False for one that broke off.
    """

    id: str
    role: Role
    forms: tuple[tuple[str, int], ...]
    chosen: int = 0
    chat: str | None = None
    reply: bool = False
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Pair:
    """Stored message `kept` is sent message `sent`, in the form of its alternative `index`."""

    kept: int
    sent: int
    index: int


def key(text: str) -> str:
    """What two texts are compared by: everything but white space, which clients trim and reflow as they like."""
    return "".join(text.split())


def align(kept: Sequence[Kept], sent: Sequence[Said]) -> list[Pair]:
    """Pairs in order of both. Long unbroken runs are paired first and, where there is a choice, the newest.

    Between two pairs either side may have messages that the other lacks.
    """
    shown = {(said.role, said.key) for said in sent}
    forms = [_form(one, shown) for one in kept]
    left = [(one.role, form[0]) for one, form in zip(kept, forms, strict=True)]
    right = [(said.role, said.key) for said in sent]
    ends = 0  # nearly always the whole history: the client shows the end of what is stored
    while ends < min(len(left), len(right)) and left[-1 - ends] == right[-1 - ends]:
        ends += 1
    pairs = [(len(left) - ends + at, len(right) - ends + at) for at in range(ends)]
    if ends < len(right):
        pairs = _blocks(left[: len(left) - ends], right[: len(right) - ends]) + pairs
    return [Pair(at, place, forms[at][1]) for at, place in pairs]


def _form(one: Kept, shown: set[tuple[Role, str]]) -> tuple[str, int]:
    return next((form for form in one.forms if (one.role, form[0]) in shown), one.forms[0])


def _blocks(left: Sequence[object], right: Sequence[object]) -> list[tuple[int, int]]:
    # turned round, since the matcher takes the first of several blocks that are equally long
    matcher = SequenceMatcher(None, left[::-1], right[::-1], autojunk=False)
    return [
        (len(left) - 1 - block.a - at, len(right) - 1 - block.b - at)
        for block in reversed(matcher.get_matching_blocks())
        for at in reversed(range(block.size))
    ]
