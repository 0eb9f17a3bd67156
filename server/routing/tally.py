"""How well models answered, by the hour and over all servers: counts in Redis, written in the background.

A request adds to a dictionary and no more. Every few seconds what came together goes to Redis, where it is kept for 35
days; what a killed server had not written yet is lost, which plots can bear.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from redis.asyncio import Redis

from server.errors import StoreUnavailable
from server.routing.journal import Entry, TurnOutcome
from server.stores.errors import store_errors

KEEP_SECONDS = 35 * 86_400
WRITE_SECONDS = 2.0
MAX_WAITING = 20_000
"""Counts held back while Redis does not answer; beyond that the plots lose some."""

_TURN = "turn"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Hour:
    """What was counted in an hour: turns by how they ended, and attempts by `(model, mode)`; no mode is ``""``."""

    at: datetime
    turns: Counter[str]
    models: dict[tuple[str, str], Counter[str]]


class Tally:
    """Counts attempts and turns."""

    def __init__(self, redis: Redis, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._redis = redis
        self._clock = clock
        self._waiting: Counter[tuple[str, str]] = Counter()
        self._hour, self._key = datetime.min.replace(tzinfo=UTC), ""

    def attempt(self, entry: Entry) -> None:
        if not entry.asked:
            return
        place = f"{entry.mode or ''}|{entry.label}"
        self._add(f"attempts|{place}")
        if entry.refused:
            self._add(f"refused|{place}")
        elif entry.outcome not in ("answered", "aborted"):
            self._add(f"failed|{place}")
        if entry.first is not None:
            self._add(f"first_ms|{place}", round(entry.first * 1000))
            self._add(f"first_count|{place}")

    def turn(self, outcome: TurnOutcome) -> None:
        self._add(f"{_TURN}||{outcome}")

    def _add(self, field: str, count: int = 1) -> None:
        now = self._clock()
        if not self._hour <= now < self._hour + timedelta(hours=1):
            self._hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
            self._key = _key(now)
        self._waiting[self._key, field] += count

    async def write(self) -> None:
        """Writes what came together. Raises `StoreUnavailable`, and keeps it then."""
        if not self._waiting:
            return
        writing, self._waiting = self._waiting, Counter()
        try:
            with store_errors("cache"):
                async with self._redis.pipeline(transaction=True) as pipe:
                    for (key, field), count in writing.items():
                        pipe.hincrby(key, field, count)
                    for key in {key for key, _ in writing}:
                        pipe.expire(key, KEEP_SECONDS)
                    await pipe.execute()
        except StoreUnavailable:
            if len(writing) < MAX_WAITING:
                self._waiting += writing
            raise

    async def read(self, hours: int) -> list[Hour]:
        """The last `hours` hours, oldest first; this one, which is not over, is the last.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        await self.write()
        now = self._clock().astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        times = [now - timedelta(hours=back) for back in range(hours - 1, -1, -1)]
        with store_errors("cache"):
            async with self._redis.pipeline(transaction=False) as pipe:
                for at in times:
                    pipe.hgetall(_key(at))
                found = await pipe.execute()
        return [_hour(at, fields.items()) for at, fields in zip(times, found, strict=True)]

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Writes now and then, and once more on the way out."""

        async def write_on() -> None:
            while True:
                await asyncio.sleep(WRITE_SECONDS)
                await self._try_to_write()

        task = asyncio.create_task(write_on(), name="routing-tally")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            await self._try_to_write()

    async def _try_to_write(self) -> None:
        try:
            await self.write()
        except StoreUnavailable as error:
            _log.warning("routing counts wait", reason=error.message)


def _key(at: datetime) -> str:
    return f"vestige:routing:hour:{at.astimezone(UTC):%Y%m%d%H}"


def _hour(at: datetime, fields: Iterable[tuple[str, str]]) -> Hour:
    hour = Hour(at, Counter(), {})
    for field, count in fields:
        what, mode, rest = field.split("|", 2)
        if what == _TURN:
            hour.turns[rest] += int(count)
        else:
            hour.models.setdefault((rest, mode), Counter())[what] += int(count)
    return hour
