"""Which waiting render goes to which host next: a pure function, state in, decision out.

Everything is weighed in seconds. A host that has other models loaded costs a swap; a warm one costs the time until the
renders before it are done. A render waits for its warm host unless another would begin sooner, swap included; a host
that has room takes what it can begin soonest, and what waited longer for that. So a grid of characters and items is
worked off character by character, and no host stands idle while it would help.

Nothing starves: waiting counts against a swap, and while people wait, every eighth render is still one that nobody
waits for.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["Pick", "Place", "Rules", "Wanted", "choose", "swap_share"]

_SHARES: Final[Mapping[str, float]] = {
    "checkpoints": 1.0,
    "ipadapter": 0.15,
    "clip_vision": 0.1,
    "loras": 0.1,
    "characters": 0.1,
}
"""What loading a file of each folder takes, as a share of a checkpoint."""
_LOST: Final = 0.3
"""How much of a swap it counts that a host loses the checkpoint it is warm with; another may have none."""
_SPARED: Final = 0.5
"""How much of a swap it counts against a render that another host is warm for."""


@dataclass(frozen=True, slots=True)
class Rules:
    """`ageing`: how many seconds of waiting weigh as much as one second of a swap. `share`: of so many renders while
    people wait, one is for the others."""

    ageing: float = 30.0
    share: int = 8


@dataclass(frozen=True, slots=True)
class Place:
    """A host that may be given work. `free`: how many renders more. `ahead`: how many stand there before a new one.

    `tail`: content ids (`folder/…`) of what will be loaded when those are done. `seconds`: a render with warm models.
    `swap`: seconds that another checkpoint takes on top.
    """

    name: str
    free: int
    ahead: int
    tail: frozenset[str]
    seconds: float
    swap: float

    @property
    def ready(self) -> float:
        """Seconds until it could begin another."""
        return self.ahead * self.seconds


@dataclass(frozen=True, slots=True)
class Wanted:
    """A waiting render: its models, the hosts that have all it needs, whether a person waits, and for how long."""

    models: frozenset[str]
    fit: frozenset[str]
    urgent: bool
    waited: float


@dataclass(frozen=True, slots=True)
class Pick:
    """The n-th of the line goes to `place`."""

    at: int
    place: str


@dataclass(frozen=True, slots=True)
class _Group:
    """Renders of the line that are alike to every host; `members` by place in the line. `owned`: a host is warm for
    them."""

    models: frozenset[str]
    fit: frozenset[str]
    urgent: bool
    owned: bool
    members: list[int]


def choose(places: Sequence[Place], line: Sequence[Wanted], passed: int = 0, rules: Rules | None = None) -> Pick | None:
    """The next render to give out; None where all are better off waiting.

    Args:
        places: every host that may be given work, those with no room now included: renders may wait for them.
        passed: how many urgent ones were given out since the last that was not, while such a one waited.
    """
    rules = rules or Rules()
    board = _Board(places, line, rules)
    others_first = passed >= rules.share - 1
    return board.best(urgent=not others_first) or board.best(urgent=others_first)


def swap_share(tail: frozenset[str], models: frozenset[str]) -> float:
    """How much of a checkpoint's swap it takes to have `models` loaded where `tail` is."""
    return sum(_SHARES.get(model.partition("/")[0], 0.0) for model in models - tail)


class _Board:
    """The line against the hosts."""

    def __init__(self, places: Sequence[Place], line: Sequence[Wanted], rules: Rules) -> None:
        self._places = {place.name: place for place in places}
        self._line = line
        self._rules = rules
        self._groups = self._grouped()
        self._swaps: dict[tuple[str, frozenset[str]], float] = {}
        self._cheapest = [self._cheapest_for(group) for group in self._groups]
        self._demand = {urgent: self._demanded(urgent) for urgent in (True, False)}

    def best(self, *, urgent: bool) -> Pick | None:
        """Hosts that are free soonest choose first; each takes what it can begin soonest, less what waiting weighs."""
        found: tuple[float, float, int] | None = None
        pick: Pick | None = None
        for group, cheapest in zip(self._groups, self._cheapest, strict=True):
            if group.urgent is not urgent:
                continue
            at = max(group.members, key=lambda member: (self._line[member].waited, -member))
            for place in self._worth_it(group, cheapest):
                swap = self._swap(place, group.models)
                spared = _SPARED * place.swap if swap and group.owned else 0.0  # its warm host would do without a swap
                rank = (place.ready, swap + spared - self._line[at].waited / self._rules.ageing, at)
                if found is None or (*rank, place.name) < (*found, pick.place if pick else ""):
                    found, pick = rank, Pick(at, place.name)
        return pick

    def _worth_it(self, group: _Group, cheapest: frozenset[str]) -> Iterator[Place]:
        """The hosts with room where no other would begin it sooner, those that wait for the other before it counted."""
        demand = self._demand[group.urgent]
        here: dict[str, float] = {}
        there: list[tuple[float, str]] = []
        for name in group.fit:
            place = self._places[name]
            here[name] = place.ready + self._swap(place, group.models)
            before = max(0.0, demand[name] - (name in cheapest)) * place.seconds
            there.append((here[name] + before, name))
        soonest = heapq.nsmallest(2, there)
        for name, begins in here.items():
            others = [seconds for seconds, other in soonest if other != name]
            if self._places[name].free > 0 and (not others or begins <= others[0]):
                yield self._places[name]

    def _grouped(self) -> list[_Group]:
        groups: dict[tuple[frozenset[str], frozenset[str], bool], list[int]] = defaultdict(list)
        for at, wanted in enumerate(self._line):
            fit = wanted.fit.intersection(self._places)
            if fit:
                groups[wanted.models, fit, wanted.urgent].append(at)
        return [
            _Group(models, fit, urgent, any(models <= self._places[name].tail for name in fit), members)
            for (models, fit, urgent), members in groups.items()
        ]

    def _cheapest_for(self, group: _Group) -> frozenset[str]:
        """The hosts where it takes the smallest swap."""
        swaps = {name: self._swap(self._places[name], group.models) for name in group.fit}
        least = min(swaps.values())
        return frozenset(name for name, swap in swaps.items() if swap <= least)

    def _demanded(self, urgent: bool) -> dict[str, float]:
        """How many renders wait for each host because it is cheapest for them. Those who are urgent look only at those
        who are."""
        demand = dict.fromkeys(self._places, 0.0)
        for group, cheapest in zip(self._groups, self._cheapest, strict=True):
            if group.urgent or not urgent:
                for name in cheapest:
                    demand[name] += len(group.members) / len(cheapest)
        return demand

    def _swap(self, place: Place, models: frozenset[str]) -> float:
        known = self._swaps.get((place.name, models))
        if known is None:
            share = swap_share(place.tail, models)
            lost = _LOST if place.tail and share >= 1 else 0.0
            known = self._swaps[place.name, models] = place.swap * (share + lost)
        return known
