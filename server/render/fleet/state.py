"""What all workers know of the hosts together, in the state Redis: one script where two things change together."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Self

from redis.asyncio import Redis

from server.render.fleet.types import Pack
from server.stores.errors import store_errors

__all__ = ["LEASE_SECONDS", "FleetState", "HostRecord", "Lease", "Seen", "Snapshot"]

PREFIX = "vestige:{fleet}:"
STORE = "fleet"
LEASE_SECONDS = 10.0
"""As long as a job's: what a worker held that died is free when its jobs are."""
FIRST_REST_SECONDS, LONGEST_REST_SECONDS = 5.0, 300.0
OFFER_SECONDS = 7 * 86_400
"""What a host had to offer is remembered for so long after that."""
OLD_OFFER_SECONDS = 60
UPLOADS_SECONDS = 30 * 86_400


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look at a host found. `process` changes with its restarts; `offer` names what it had to offer."""

    healthy: bool
    why: str | None = None
    version: str | None = None
    pack: Pack = "none"
    opened: bool = False
    devices: tuple[str, ...] = ()
    queue: int = 0
    strangers: int = 0
    process: str | None = None
    offer: str | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HostRecord:
    """A host as Redis has it. Times in milliseconds of Redis' clock, 0 for never."""

    seen: Seen | None = None
    seen_at: int = 0
    drained: bool = False
    failures: int = 0
    bench_until: int = 0
    bench_why: str | None = None
    tail: frozenset[str] = frozenset()
    warm_ms: float | None = None
    cold_ms: float | None = None
    last: str | None = None

    @property
    def swap_ms(self) -> float | None:
        """How much longer a render takes with another checkpoint; None until both were measured."""
        return None if self.warm_ms is None or self.cold_ms is None else max(0.0, self.cold_ms - self.warm_ms)

    @classmethod
    def read(cls, fields: Mapping[str, str]) -> Self:
        seen = json.loads(fields["seen"]) if "seen" in fields else None
        return cls(
            seen=Seen(**{**seen, "devices": tuple(seen["devices"]), "problems": tuple(seen["problems"])})
            if seen
            else None,
            seen_at=int(fields.get("seen_at", 0)),
            drained=fields.get("drained") == "1",
            failures=int(fields.get("failures", 0)),
            bench_until=int(fields.get("bench_until", 0)),
            bench_why=fields.get("bench_why"),
            tail=frozenset(json.loads(fields.get("tail", "[]"))),
            warm_ms=float(fields["warm_ms"]) if "warm_ms" in fields else None,
            cold_ms=float(fields["cold_ms"]) if "cold_ms" in fields else None,
            last=fields.get("last"),
        )


@dataclass(frozen=True, slots=True)
class Lease:
    """A place that was given out."""

    host: str
    models: frozenset[str]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a choice depends on, at one moment; `now` in milliseconds of Redis' clock."""

    now: int
    version: str
    passed: int
    leases: Mapping[str, Lease]
    hosts: Mapping[str, HostRecord] = field(default_factory=dict)

    def claims(self, host: str) -> int:
        return sum(lease.host == host for lease in self.leases.values())


class FleetState:
    """Reads and changes it. Every method raises `StoreUnavailable` where Redis does not answer."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        folder = files("server.render.fleet").joinpath("lua")
        shared = folder.joinpath("_shared.lua").read_text("utf-8")
        self._scripts = {
            name: redis.register_script(f"{shared}\n{folder.joinpath(f'{name}.lua').read_text('utf-8')}")
            for name in ("claim", "renew", "release", "bench")
        }

    async def snapshot(self, names: Sequence[str]) -> Snapshot:
        """How everything stands now."""
        with store_errors(STORE):
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.time()
                pipe.get(f"{PREFIX}version")
                pipe.get(f"{PREFIX}passed")
                pipe.hgetall(f"{PREFIX}claims")
                for name in names:
                    pipe.hgetall(_host(name))
                (seconds, micro), version, passed, claims, *hosts = await pipe.execute()
        now = int(seconds) * 1000 + int(micro) // 1000
        leases = {slot: json.loads(claim) for slot, claim in claims.items()}
        return Snapshot(
            now,
            version or "0",
            int(passed or 0),
            {slot: Lease(one["host"], frozenset(one["models"])) for slot, one in leases.items() if one["until"] > now},
            {name: HostRecord.read(fields) for name, fields in zip(names, hosts, strict=True)},
        )

    async def claim(self, slot: str, lease: Lease, *, version: str | None, passed: int) -> bool:
        """Takes a place; False where something changed since `version` (None: whatever changed)."""
        models = json.dumps(sorted(lease.models))
        about = json.dumps({"host": lease.host, "models": sorted(lease.models)})
        return bool(
            await self._run("claim", version or "", slot, lease.host, about, _ms(LEASE_SECONDS), models, str(passed))
        )

    async def renew(self, slot: str) -> bool:
        return bool(await self._run("renew", slot, _ms(LEASE_SECONDS)))

    async def release(self, slot: str, host: str, fields: Mapping[str, str] | None = None) -> None:
        """Gives a place back, and notes what was learned of the host; an empty value forgets a field."""
        await self._run("release", slot, host, *(part for pair in (fields or {}).items() for part in pair))

    async def bench(self, host: str, why: str) -> float:
        """One more failure; the seconds it rests for."""
        rest = await self._run("bench", host, _ms(FIRST_REST_SECONDS), _ms(LONGEST_REST_SECONDS), why)
        return int(rest) / 1000

    async def stumbled(self, host: str) -> int:
        """How many renders failed there one after another, this one included."""
        with store_errors(STORE):
            return int(await self._redis.hincrby(_host(host), "stumbles", 1))

    async def note(self, host: str, fields: Mapping[str, str]) -> None:
        """Notes what is known of a host; an empty value forgets a field."""
        await self.release("", host, fields)

    async def seen(self, host: str, seen: Seen, now: int, *, forget: bool) -> None:
        """What a look found; `forget`: it was restarted, so nothing is loaded there."""
        text = json.dumps({name: getattr(seen, name) for name in Seen.__slots__})
        await self.note(host, {"seen": text, "seen_at": str(now)} | ({"tail": "[]"} if forget else {}))

    async def may_look(self, host: str, seconds: float) -> bool:
        """Whether nobody else looked at it within so many seconds; from now on we do."""
        with store_errors(STORE):
            return bool(await self._redis.set(f"{PREFIX}look:{host}", "1", nx=True, px=int(seconds * 1000)))

    async def put_offer(self, host: str, digest: str, offer: str, before: str | None) -> None:
        """Keeps what a host has to offer; what it had `before` is kept for those who are just reading it."""
        with store_errors(STORE):
            await self._redis.set(f"{PREFIX}offer:{host}:{digest}", offer, ex=OFFER_SECONDS)
            if before not in (None, digest):
                await self._redis.expire(f"{PREFIX}offer:{host}:{before}", OLD_OFFER_SECONDS)

    async def offer(self, host: str, digest: str) -> Any:
        """What a host had to offer; None where that is forgotten."""
        with store_errors(STORE):
            text = await self._redis.get(f"{PREFIX}offer:{host}:{digest}")
        return json.loads(text) if text else None

    async def contents(self) -> dict[str, str]:
        """`folder/name` → the sha256 that this name stands for on all hosts."""
        with store_errors(STORE):
            found: Any = await self._redis.hgetall(f"{PREFIX}contents")
        return {str(name): str(sha256) for name, sha256 in found.items()}

    async def settle_contents(self, new: Mapping[str, str], settled: Mapping[str, str]) -> dict[str, str]:
        """Notes `new` contents over those that were `settled` before; what holds now. Of two that settle a name for the
        first time, the first is right."""
        with store_errors(STORE):
            async with self._redis.pipeline(transaction=True) as pipe:
                for name, sha256 in new.items():
                    put = pipe.hset if name in settled else pipe.hsetnx
                    put(f"{PREFIX}contents", name, sha256)
                await pipe.execute()
        return await self.contents()

    async def presets(self) -> dict[str, Any]:
        """What versions of presets are, by `name@version`: those that were asked for."""
        with store_errors(STORE):
            found: Any = await self._redis.hgetall(f"{PREFIX}presets")
        return {str(spec): json.loads(text) for spec, text in found.items()}

    async def preset(self, spec: str) -> Any:
        with store_errors(STORE):
            text = await self._redis.hget(f"{PREFIX}presets", spec)
        return json.loads(text) if text else None

    async def keep_preset(self, spec: str, preset: Mapping[str, Any]) -> Any:
        """Remembers what a version of a preset is; the first who says so is right for good."""
        with store_errors(STORE):
            await self._redis.hsetnx(f"{PREFIX}presets", spec, json.dumps(preset))
        return await self.preset(spec)

    async def uploaded(self, host: str, name: str) -> bool:
        with store_errors(STORE):
            return bool(await self._redis.sismember(f"{PREFIX}uploads:{host}", name))

    async def note_upload(self, host: str, name: str) -> None:
        with store_errors(STORE):
            await self._redis.sadd(f"{PREFIX}uploads:{host}", name)
            await self._redis.expire(f"{PREFIX}uploads:{host}", UPLOADS_SECONDS)

    async def uploaded_any(self, host: str, names: Collection[str]) -> bool:
        """Whether any of these was uploaded there lately."""
        if not names:
            return False
        with store_errors(STORE):
            found: Any = await self._redis.smismember(f"{PREFIX}uploads:{host}", list(names))
        return any(found)

    async def forget_uploads(self, host: str, names: Collection[str] | None = None) -> None:
        """None: all of them."""
        with store_errors(STORE):
            if names is None:
                await self._redis.delete(f"{PREFIX}uploads:{host}")
            elif names:
                await self._redis.srem(f"{PREFIX}uploads:{host}", *names)

    async def _run(self, name: str, *args: str | int) -> Any:
        with store_errors(STORE):
            return await self._scripts[name](keys=[PREFIX], args=list(args))


def _host(name: str) -> str:
    return f"{PREFIX}host:{name}"


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
