"""The breaker that all servers share: its states in Redis, changed by scripts, and a second of memory before it."""

import hashlib
import time
from collections.abc import Sequence
from importlib.resources import files

import structlog
from redis.asyncio import Redis

from server.errors import StoreUnavailable
from server.routing.breaker import Health, State
from server.routing.policy.model import BreakerRules
from server.stores.errors import store_errors

LOOK_SECONDS = 1.0
PROBE_SECONDS = 60.0  # a probe whose server died is over by then
FORGET_SECONDS = 120.0  # without a failure in so long, those before do not count
MAX_RETRY_AFTER = 3_600.0

_log = structlog.get_logger("vestige.model")


class RedisBreaker:
    """`Breaker` over a Redis that all servers share."""

    def __init__(self, redis: Redis, rules: BreakerRules) -> None:
        self._redis = redis
        self._rules = rules
        folder = files("server.routing.breaker").joinpath("lua")
        shared = folder.joinpath("_clock.lua").read_text("utf-8")
        self._failed, self._look, self._claim = (
            redis.register_script(f"{shared}\n{folder.joinpath(f'{name}.lua').read_text('utf-8')}")
            for name in ("failed", "look", "claim")
        )
        self._seen: dict[tuple[str, str], tuple[float, Health]] = {}

    async def health(self, models: Sequence[tuple[str, str]]) -> list[Health]:
        """What Redis knows of each model now.

        Raises:
            StoreUnavailable: it does not answer.
        """
        if not models:
            return []
        with store_errors("cache"):
            rows = await self._look(keys=[_key(*model) for model in models])
        return [_health(*row) for row in rows]

    async def rests(self, models: Sequence[tuple[str, str]]) -> list[float]:
        now = time.monotonic()
        known = {model: self._seen[model] for model in models if model in self._seen}
        old = [model for model in models if model not in known or now - known[model][0] > LOOK_SECONDS]
        if old:
            try:
                found = await self.health(old)
            except StoreUnavailable as error:
                _log.warning("breaker out of reach", reason=error.message)
                found = [Health("closed", 0.0, 0)] * len(old)
            fresh = {model: (now, health) for model, health in zip(old, found, strict=True)}
            self._seen |= fresh
            known |= fresh
        return [max(0.0, health.rest - (now - at)) for at, health in (known[model] for model in models)]

    async def admit(self, provider: str, model: str) -> float:
        _, health = self._seen.get((provider, model), (0.0, None))
        if health is None or health.state == "closed":
            return 0.0
        try:
            with store_errors("cache"):
                left = await self._claim(keys=[_key(provider, model)], args=[_ms(PROBE_SECONDS), _ms(FORGET_SECONDS)])
        except StoreUnavailable:
            return 0.0
        return int(left) / 1000

    async def failed(self, provider: str, model: str, retry_after: float | None = None) -> None:
        rules = self._rules
        asked = 0.0 if retry_after is None else min(retry_after, MAX_RETRY_AFTER)
        args = [rules.failures, _ms(rules.rest_seconds), _ms(rules.longest_seconds), _ms(asked), _ms(FORGET_SECONDS)]
        try:
            with store_errors("cache"):
                left = int(await self._failed(keys=[_key(provider, model)], args=args)) / 1000
        except StoreUnavailable as error:
            _log.warning("breaker out of reach", reason=error.message)
            return
        if left > 0:
            _log.warning("model rests", provider=provider, model=model, seconds=round(left, 1))
        self._seen.pop((provider, model), None)

    async def succeeded(self, provider: str, model: str) -> None:
        _, health = self._seen.get((provider, model), (0.0, None))
        if health is None or (health.failures == 0 and health.state == "closed"):
            return
        self._seen.pop((provider, model), None)
        try:
            with store_errors("cache"):
                await self._redis.delete(_key(provider, model))
        except StoreUnavailable as error:
            _log.warning("breaker out of reach", reason=error.message)

    async def released(self, provider: str, model: str) -> None:
        _, health = self._seen.get((provider, model), (0.0, None))
        if health is None or health.state == "closed":
            return
        self._seen.pop((provider, model), None)
        try:
            with store_errors("cache"):
                await self._redis.hdel(_key(provider, model), "probe")
        except StoreUnavailable as error:
            _log.warning("breaker out of reach", reason=error.message)


def _key(provider: str, model: str) -> str:
    """A key of fixed form: model ids may hold anything."""
    return f"vestige:routing:breaker:{hashlib.sha256(f'{provider} {model}'.encode()).hexdigest()[:32]}"


def _health(left: str, failures: str, ends: str) -> Health:
    rest = max(0, int(left)) / 1000
    state: State = "open" if rest else "half_open" if ends != "0" else "closed"
    return Health(state, rest, int(failures))


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
