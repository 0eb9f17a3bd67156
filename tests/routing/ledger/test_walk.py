"""Anything in any order: the ledger against a model of it that fits on one screen."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from server.errors import BudgetExceeded
from server.routing.ledger.ledger import Ledger, LedgerHold
from server.routing.ledger.upkeep import Upkeep
from server.routing.spending import Outcome
from server.routing.types import Payer
from tests.routing.ledger.conftest import ATTEMPT, Books, Records

STEPS = 250
CEILING, USER_CEILING = 60_000, 25_000
PEOPLE = [Payer("home", "anna", "free"), Payer("home", "ben", "free"), Payer("acme", "anna", "free")]
SERVERS = ["one", "two", "three"]


@dataclass
class Call:
    """One attempt. `bill`: what the provider will have billed for it; `named`: the ledger knows its id."""

    payer: Payer
    hold: LedgerHold
    amount: int
    bill: int
    server: str
    named: bool = False


@dataclass
class Expected:
    """`settled`: what must have been counted; `open`: calls that are under way; `asked`: to be asked about."""

    settled: dict[Payer, int] = field(default_factory=lambda: dict.fromkeys(PEOPLE, 0))
    open: list[Call] = field(default_factory=list)
    asked: list[Call] = field(default_factory=list)
    bill: int = 0

    def charged(self, payer: Payer | None = None) -> int:
        held = sum(call.amount for call in self.open + self.asked if payer in (None, call.payer))
        return held + (sum(self.settled.values()) if payer is None else self.settled[payer])

    def room(self, payer: Payer, amount: int) -> bool:
        fits = self.charged() + amount <= CEILING and self.charged(payer) + amount <= USER_CEILING
        return fits or amount == 0


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_the_sums_are_right(
    books: Callable[..., Books], monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr("server.routing.ledger.ledger.ASK_AFTER_MS", 0)
    chance, records = random.Random(seed), Records()
    kept = books(daily_budget=CEILING / 1_000_000, user=USER_CEILING / 1_000_000)
    ledgers: dict[str, Ledger] = {name: kept.ledger(name) for name in SERVERS}
    upkeeps = {name: Upkeep(ledger, records) for name, ledger in ledgers.items()}
    for upkeep in upkeeps.values():
        await upkeep.beat()
    expected, generation = Expected(), 0

    async def look() -> None:
        gauge = await kept.gauge()
        assert gauge.spent == await kept.spent() == sum(expected.settled.values()) >= expected.bill
        assert gauge.spent + gauge.held == expected.charged() <= CEILING

    for _ in range(STEPS):
        match chance.choice(["reserve", "reserve", "name", "settle", "settle", "lose", "die", "ask"]):
            case "reserve":
                payer, amount, server = chance.choice(PEOPLE), chance.choice([0, 1, 900, 6_000]), chance.choice(SERVERS)
                try:
                    hold = await ledgers[server].reserve(payer, ATTEMPT, amount)
                except BudgetExceeded:
                    assert not expected.room(payer, amount)
                else:
                    assert expected.room(payer, amount)
                    expected.open.append(Call(payer, hold, amount, chance.randint(0, amount), server))
            case "name" if expected.open:
                call = chance.choice(expected.open)
                if not call.named:
                    generation += 1
                    await call.hold.identified(f"gen-{generation}")
                    records.costs[f"gen-{generation}"], call.named = [call.bill], True
            case "settle" if expected.open:
                call = expected.open.pop(chance.randrange(len(expected.open)))
                await call.hold.settle(Outcome("done", call.bill))
                expected.settled[call.payer] += call.bill
                expected.bill += call.bill
            case "lose" if expected.open:
                call = expected.open.pop(chance.randrange(len(expected.open)))
                await call.hold.settle(Outcome("cut", None))
                _lost(expected, call)
            case "die":
                name = chance.choice(SERVERS)
                await upkeeps[name].leave()  # as when its lease has run out
                await upkeeps[chance.choice([other for other in SERVERS if other != name])].beat()
                for call in [call for call in expected.open if call.server == name]:
                    expected.open.remove(call)
                    _lost(expected, call)
                await upkeeps[name].beat()
            case "ask":
                await upkeeps[chance.choice(SERVERS)].ask()
                for call in expected.asked:
                    expected.settled[call.payer] += call.bill
                    expected.bill += call.bill
                expected.asked.clear()
        if chance.random() < 0.1:
            await look()
    await look()


def _lost(expected: Expected, call: Call) -> None:
    """Nobody said what it cost: the provider is asked, or all that was put aside counts."""
    if call.named:
        expected.asked.append(call)
    else:
        expected.settled[call.payer] += call.amount
        expected.bill += call.bill
