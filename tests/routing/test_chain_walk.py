"""A random walk: whatever models do and whenever readers leave, what was put aside is settled and no failure shows."""

import asyncio
import random
from contextlib import aclosing, suppress

import pytest

from server.errors import ModelError
from server.routing.breaker import shared as breaker_module
from server.routing.types import Finished
from tests.routing.chains import BACKUP, PRIMARY, House, make_request
from tests.routing.test_chain_table import ADVANCES, MID_STREAM, READ, STOPS, Row

ROWS = [row for row in (*READ, *ADVANCES, *STOPS, *MID_STREAM) if row.outcome != "timeout"]
TEXTS = {row.text for row in READ}
TURNS = 100


@pytest.fixture(autouse=True)
def _nobody_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ignored(*_: object) -> None: ...

    monkeypatch.setattr(breaker_module.RedisBreaker, "failed", ignored)


async def turn(house: House, rows: tuple[Row, Row], *, leave_after: int | None, whole: bool) -> None:
    shown = ""
    try:
        if whole:
            shown, _ = await house.chain.complete(make_request())
            assert shown in TEXTS
            return
        async with aclosing(house.chain.stream(make_request())) as events:
            count = 0
            async for event in events:
                if isinstance(event, Finished):
                    assert shown in TEXTS
                    assert event.attempts[-1].outcome == "answered"
                    assert len(event.attempts) == event.attempt
                    return
                shown += event.text
                count += 1
                if count == leave_after:
                    return
    except ModelError as error:
        assert bool(shown) is bool(error.details["partial"]), rows
        assert shown in ("", "Once upon"), rows


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_walk(house: House, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(TURNS):
        rows = rng.choice(ROWS), rng.choice(ROWS)
        for model, row in zip((PRIMARY, BACKUP), rows, strict=True):
            house.fake._scripts[model].clear()
            house.fake.script(model, row.script)
        leave = rng.choice([None, None, 1, 2])
        task = asyncio.create_task(turn(house, rows, leave_after=leave, whole=rng.random() < 0.3))
        if rng.random() < 0.2:
            await asyncio.sleep(rng.random() * 0.01)
            task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await house.chain.drain()
        assert len(house.book.settled) == len(house.book.reserved) == len(house.entries), rows
    assert {outcome.status for outcome in house.book.settled} == {"done", "refused", "failed", "cut", "cancelled"}
    assert all(outcome.cost is None or outcome.cost >= 0 for outcome in house.book.settled)
