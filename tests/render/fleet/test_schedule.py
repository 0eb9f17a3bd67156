"""Which render goes where: single decisions as a table, and whole days in simulated time."""

import random

import pytest

from server.render.fleet.schedule import Pick, Place, Rules, Wanted, choose, swap_share
from tests.render.fleet.simulation import Ask, at_random, grid, simulate

MIRA = frozenset({"checkpoints/sdxl", "characters/mira", "ipadapter/plus"})
OTIS = frozenset({"checkpoints/sdxl", "characters/otis", "ipadapter/plus"})
PONY = frozenset({"checkpoints/pony", "characters/halina", "ipadapter/plus"})
NOTHING = frozenset[str]()


def place(name: str, tail: frozenset[str] = NOTHING, *, ahead: int = 0, free: int | None = None) -> Place:
    return Place(name, 2 - ahead if free is None else free, ahead, tail, seconds=8.0, swap=20.0)


def wanted(
    models: frozenset[str] = MIRA, *, fit: str = "gpu1 gpu2", urgent: bool = True, waited: float = 0.0
) -> Wanted:
    return Wanted(models, frozenset(fit.split()), urgent, waited)


@pytest.mark.parametrize(
    ("places", "line", "pick"),
    [
        ([], [wanted()], None),
        ([place("gpu1")], [], None),
        ([place("gpu1")], [wanted()], Pick(0, "gpu1")),
        ([place("gpu1"), place("gpu2", MIRA)], [wanted()], Pick(0, "gpu2")),
        ([place("gpu1"), place("gpu2", MIRA, ahead=1)], [wanted()], Pick(0, "gpu2")),
        # the warm host's line of two takes 16 s, a swap 20 s and more: it waits; three before it are worth the swap
        ([place("gpu1"), place("gpu2", MIRA, ahead=2)], [wanted()], None),
        ([place("gpu1"), place("gpu2", MIRA, ahead=4, free=0)], [wanted()], Pick(0, "gpu1")),
        # another LoRA is a small swap
        ([place("gpu1", PONY), place("gpu2", OTIS)], [wanted()], Pick(0, "gpu2")),
        ([place("gpu1", OTIS), place("gpu2", MIRA, ahead=1)], [wanted()], Pick(0, "gpu1")),
        # looking ahead: the host that is warm for the second takes the second
        ([place("gpu1", PONY)], [wanted(), wanted(PONY)], Pick(1, "gpu1")),
        ([place("gpu1", PONY)], [wanted(waited=900), wanted(PONY)], Pick(0, "gpu1")),
        # a person goes first, whatever is warm
        ([place("gpu1", PONY)], [wanted(), wanted(PONY, urgent=False, waited=9000)], Pick(0, "gpu1")),
        # what a host lacks does not go there
        ([place("gpu1", MIRA)], [wanted(fit="gpu2")], None),
        ([place("gpu1", MIRA, free=0), place("gpu2")], [wanted(fit="gpu2")], Pick(0, "gpu2")),
        # many wait for the warm host: another helps
        ([place("gpu1"), place("gpu2", MIRA, ahead=2)], [wanted()] * 6, Pick(0, "gpu1")),
        ([place("gpu1", free=0, ahead=2)], [wanted()], None),
    ],
)
def test_a_decision(places: list[Place], line: list[Wanted], pick: Pick | None) -> None:
    assert choose(places, line) == pick


def test_every_eighth_is_one_that_nobody_waits_for() -> None:
    line = [wanted(), wanted(urgent=False)]
    chosen = [choose([place("gpu1")], line, passed).at for passed in range(9)]  # pyright: ignore[reportOptionalMemberAccess]
    assert chosen == [0] * 7 + [1] * 2
    assert choose([place("gpu1")], [wanted()], passed=20) == Pick(0, "gpu1")


def test_what_a_swap_costs() -> None:
    assert swap_share(MIRA, MIRA) == 0
    assert swap_share(MIRA, OTIS) == pytest.approx(0.1)
    assert swap_share(NOTHING, MIRA) == pytest.approx(1.25)
    assert swap_share(MIRA | PONY, OTIS) == pytest.approx(0.1)


@pytest.mark.parametrize("hosts", [1, 2, 4, 8, 16])
def test_a_grid_swaps_little_and_keeps_every_host_at_work(hosts: int) -> None:
    ours, random_ones = simulate(grid(8, 40), hosts), simulate(grid(8, 40), hosts, at_random())
    assert ours.swaps <= random_ones.swaps / 3
    assert ours.utilisation >= 0.95
    assert ours.seconds < random_ones.seconds
    assert all(ask.ended > 0 for ask in ours.asks)


def test_nobody_starves() -> None:
    """One lonely render of another checkpoint, among far more people than the hosts can serve."""
    dice = random.Random(3)
    crowd = [Ask(MIRA, at=dice.uniform(0, 600), urgent=True) for _ in range(400)]
    lonely, unhurried = Ask(PONY, at=10.0, urgent=True), Ask(PONY, at=10.0)
    simulate([*crowd, lonely, unhurried], 2)
    assert max(ask.began for ask in crowd) > 900
    assert lonely.began - lonely.at < 30 * 25 + 60
    assert unhurried.began < max(ask.began for ask in crowd)


def test_a_person_is_served_before_a_long_backlog() -> None:
    people = [Ask(MIRA if n % 2 else OTIS, at=100.0 + 20 * n, urgent=True) for n in range(10)]
    outcome = simulate([*grid(8, 40), *people], 4)
    assert max(person.began - person.at for person in people) < 40
    assert outcome.utilisation >= 0.95


def test_rules_can_be_chosen() -> None:
    line = [wanted(waited=900), wanted(PONY)]
    assert choose([place("gpu1", PONY)], line, rules=Rules(ageing=100)) == Pick(1, "gpu1")
