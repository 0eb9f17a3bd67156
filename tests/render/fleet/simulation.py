"""Hosts that take a fixed time for a render and for a checkpoint, in simulated time, worked by a choice of renders."""

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from server.render.fleet.schedule import Pick, Place, Rules, Wanted, choose, swap_share

DEPTH = 2
WINDOW = 256

Choice = Callable[[Sequence[Place], Sequence[Wanted], int], Pick | None]


@dataclass
class Ask:
    """A render that is asked for at `at` seconds."""

    models: frozenset[str]
    at: float = 0.0
    urgent: bool = False
    began: float = -1.0
    ended: float = -1.0


@dataclass
class Host:
    name: str
    tail: frozenset[str] = frozenset()
    loaded: frozenset[str] = frozenset()
    queue: list[Ask] = field(default_factory=list)
    busy: float = 0.0
    swaps: int = 0


@dataclass
class Outcome:
    asks: list[Ask]
    hosts: list[Host]
    seconds: float

    @property
    def swaps(self) -> int:
        return sum(host.swaps for host in self.hosts)

    @property
    def utilisation(self) -> float:
        return sum(host.busy for host in self.hosts) / (self.seconds * len(self.hosts))


def scheduled(places: Sequence[Place], line: Sequence[Wanted], passed: int) -> Pick | None:
    return choose(places, line, passed, Rules())


def at_random(seed: int = 0) -> Choice:
    """The next in line to any host that has room."""
    dice = random.Random(seed)

    def pick(places: Sequence[Place], line: Sequence[Wanted], passed: int) -> Pick | None:
        free = [place for place in places if place.free > 0]
        return Pick(0, dice.choice(free).name) if free and line else None

    return pick


def simulate(
    asks: Sequence[Ask], hosts: int, pick: Choice = scheduled, *, render: float = 5.0, swap: float = 15.0
) -> Outcome:
    """Everything that is asked for, rendered. The head of the line is shown to the choice, urgent ones first."""
    fleet = {f"gpu{n}": Host(f"gpu{n}") for n in range(hosts)}
    coming = sorted(asks, key=lambda ask: ask.at)
    line: list[Ask] = []
    endings: list[tuple[float, str]] = []
    now, passed = 0.0, 0

    def begin(host: Host) -> None:
        ask = host.queue[0]
        share = swap_share(host.loaded, ask.models)
        took = render + share * swap
        host.swaps += share > 0
        host.loaded, ask.began = ask.models, now
        host.busy += took
        heapq.heappush(endings, (now + took, host.name))

    def give_out() -> None:
        nonlocal passed
        while line:
            head = sorted(line, key=lambda ask: (not ask.urgent, ask.at))[:WINDOW]
            head += [ask for ask in line if not ask.urgent and ask not in head][:8]
            places = [
                Place(one.name, DEPTH - len(one.queue), len(one.queue), one.tail, render, swap)
                for one in fleet.values()
            ]
            wanted = [Wanted(ask.models, frozenset(fleet), ask.urgent, now - ask.at) for ask in head]
            found = pick(places, wanted, passed)
            if found is None:
                return
            ask, host = head[found.at], fleet[found.place]
            passed = passed + 1 if ask.urgent and any(not one.urgent for one in line) else 0
            line.remove(ask)
            host.queue.append(ask)
            host.tail = ask.models
            if len(host.queue) == 1:
                begin(host)

    while coming or endings:
        now = min(([coming[0].at] if coming else []) + ([endings[0][0]] if endings else []))
        while coming and coming[0].at <= now:
            line.append(coming.pop(0))
        while endings and endings[0][0] <= now:
            _, name = heapq.heappop(endings)
            host = fleet[name]
            host.queue.pop(0).ended = now
            if host.queue:
                begin(host)
        give_out()
    assert not line
    return Outcome(list(asks), list(fleet.values()), now)


def grid(characters: int, items: int, seed: int = 0) -> list[Ask]:
    """Every character in every item, asked for at once, in no order."""
    asks = [
        Ask(frozenset({f"checkpoints/{c % 4}", f"characters/{c}", "ipadapter/a"}))
        for c in range(characters)
        for _ in range(items)
    ]
    random.Random(seed).shuffle(asks)
    return asks
