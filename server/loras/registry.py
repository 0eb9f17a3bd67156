"""Characters and the versions of their LoRAs: which exist, and which is live.

Versions are numbered from 1, never change and never go. A character's live version is a pointer of its own, moved by
one script together with the list of what was live before: whoever reads it, whoever else moves it and whenever a
process dies, it names a version that exists. A file is in the object store before its version is written here.

The state Redis holds, for each tenant (ids hold no colon):

    vestige:loras:{tenant}:live          name → number
    vestige:loras:{tenant}:versions      name@number → what a list shows (json)
    vestige:loras:{tenant}:records       name@number → the record (json)
    vestige:loras:{tenant}:files         "name sha256" → number
    vestige:loras:{tenant}:last          name → the highest number
    vestige:loras:{tenant}:uploads       sha256 of what the tenant sent: knowing a hash is no right to a file
    vestige:loras:{tenant}:hot           names whose live version stays on every host
    vestige:loras:{tenant}:before:{name} what was live before, newest last
    vestige:loras:{tenant}:moves:{name}  how the pointer moved, newest last (json)
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import structlog
from pydantic import TypeAdapter
from redis.asyncio import Redis

from server.errors import Conflict, NotFound, VestigeError
from server.ids import check_slug
from server.loras.records import LoraFile, LoraRecord, LoraSummary, LoraVersion, Move
from server.stores.errors import store_errors

__all__ = ["LoraVersion", "OnMove", "Registry"]

OnMove = Callable[[str, LoraVersion], Awaitable[None]]
"""`(tenant, version)`: told after a character's live version became this one."""

_KEPT_MOVES = 100

_SUMMARIES = TypeAdapter(list[LoraSummary])

_log = structlog.get_logger(__name__)


class Registry:
    """The versions of every tenant, over the state Redis."""

    def __init__(self, redis: Redis, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._redis = redis
        self._clock = clock
        self._listeners: list[OnMove] = []
        folder = files("server.loras").joinpath("lua")
        self._add, self._live, self._move = (
            redis.register_script(folder.joinpath(f"{name}.lua").read_text("utf-8")) for name in ("add", "live", "move")
        )

    def on_move(self, listener: OnMove) -> None:
        """Has `listener` told of every move that this process makes."""
        self._listeners.append(listener)

    async def live(self, tenant: str, name: str) -> LoraVersion | None:
        """The version that a character wears now; None where it has none.

        Raises:
            InvalidId: `name` cannot be a character's.
            StoreUnavailable: as every method here.
        """
        check_slug(name, "name")
        with store_errors("memory"):
            found = await self._live(keys=[_key(tenant, "live"), _key(tenant, "versions")], args=[name])
        if not found:
            return None
        number, summary = found
        return LoraVersion(name=name, version=int(number), sha256=json.loads(summary)["sha256"])

    async def add(
        self,
        tenant: str,
        name: str,
        file: LoraFile,
        *,
        by: str,
        notes: str = "",
        training: str = "",
        dataset_report: str | None = None,
    ) -> tuple[LoraRecord, bool]:
        """Writes a version of a character, whose file is in the store; also tells whether it is new.

        The same file twice is one version: what was recorded first stays. A character's first version goes live.

        Raises:
            InvalidId: `name` cannot be a character's.
        """
        check_slug(name, "name")
        now = self._clock()
        record = LoraRecord(
            name=name,
            version=1,
            file=file,
            notes=notes,
            training=training,
            dataset_report=dataset_report,
            added=now,
            added_by=by,
        )
        kept = record.model_dump_json(exclude={"name", "version"}, exclude_defaults=True)
        keys = [_key(tenant, part) for part in ("live", "versions", "records", "files", "last")]
        with store_errors("memory"):
            number, new = await self._add(
                keys=[*keys, _key(tenant, "moves", name)],
                args=[name, file.sha256, _summary_json(record), kept, now.isoformat(), by],
            )
        if not new:
            return await self.get(tenant, name, int(number)), False
        made = record.model_copy(update={"version": int(number)})
        if number == 1:
            await self._tell(tenant, made)
        return made, True

    async def uploaded(self, tenant: str, sha256: str) -> None:
        """Notes that a tenant sent this file."""
        with store_errors("memory"):
            await _answer(self._redis.sadd(_key(tenant, "uploads"), sha256))

    async def owns(self, tenant: str, sha256: str) -> bool:
        """Whether a tenant ever sent this file."""
        with store_errors("memory"):
            return bool(await _answer(self._redis.sismember(_key(tenant, "uploads"), sha256)))

    async def get(self, tenant: str, name: str, version: int) -> LoraRecord:
        """A version in full.

        Raises:
            InvalidId, NotFound
        """
        check_slug(name, "name")
        with store_errors("memory"):
            found = await _answer(self._redis.hget(_key(tenant, "records"), f"{name}@{version}"))
        if found is None:
            raise NotFound(f"There is no v{version} of {name}: `vestige lora list {name}` shows what there is.")
        return LoraRecord.model_validate({**json.loads(found), "name": name, "version": version})

    async def list(self, tenant: str, name: str | None = None) -> Sequence[LoraSummary]:
        """The versions of every character, or of one, by name and newest first; nothing where there are none."""
        return _SUMMARIES.validate_json(await self.list_json(tenant, name))

    async def list_json(self, tenant: str, name: str | None = None) -> str:
        """`list` as JSON. It is put together from what is stored as text, since there may be ten thousand lines."""
        versions, live = await (self._every(tenant) if name is None else self._one(tenant, check_slug(name, "name")))
        lines = sorted(
            ((*_named(field), text) for field, text in versions.items()), key=lambda line: (line[0], -line[1])
        )
        return f"[{','.join(_line(name, number, live.get(name) == str(number), text) for name, number, text in lines)}]"

    async def moves(self, tenant: str, name: str) -> Sequence[Move]:
        """How a character's live version changed, newest first."""
        with store_errors("memory"):
            found = await _answer(self._redis.lrange(_key(tenant, "moves", check_slug(name, "name")), 0, -1))
        return [Move.model_validate_json(each) for each in reversed(found)]

    async def promote(self, tenant: str, name: str, version: int, *, by: str, if_live: int | None = None) -> Move:
        """Makes a version the live one. With `if_live`, only where that one is live now.

        Raises:
            NotFound: no such character or version.
            Conflict: another version is live than `if_live`; details.live says which.
        """
        return await self._moved(tenant, name, version, by=by, if_live=if_live)

    async def rollback(self, tenant: str, name: str, *, by: str, if_live: int | None = None) -> Move:
        """Makes the version live again that was live before this one.

        Raises:
            NotFound, Conflict: as `promote`; also where nothing was live before.
        """
        return await self._moved(tenant, name, None, by=by, if_live=if_live)

    async def hot(self, tenant: str) -> frozenset[str]:
        """Names whose live version stays on every host that has it, whatever else wants the room."""
        with store_errors("memory"):
            return frozenset(await _answer(self._redis.smembers(_key(tenant, "hot"))))

    async def set_hot(self, tenant: str, name: str, hot: bool) -> None:
        """Keeps a character's live version on the hosts, or lets it make room for others.

        Raises:
            NotFound: there is no such character.
        """
        if await self.live(tenant, name) is None:
            raise _no_character(name)
        change = self._redis.sadd if hot else self._redis.srem
        with store_errors("memory"):
            await _answer(change(_key(tenant, "hot"), name))

    async def _moved(self, tenant: str, name: str, version: int | None, *, by: str, if_live: int | None) -> Move:
        check_slug(name, "name")
        now = self._clock()
        keys = [_key(tenant, "live"), _key(tenant, "versions"), _key(tenant, "before", name)]
        with store_errors("memory"):
            outcome, *numbers = await self._move(
                keys=[*keys, _key(tenant, "moves", name)],
                args=[name, version or "", if_live or "", now.isoformat(), by, _KEPT_MOVES],
            )
        match outcome, numbers:
            case "moved" | "same", [to, before]:
                pass
            case "other", [live]:
                raise Conflict(f"v{live} of {name} is live meanwhile: look again before you change it.", live=live)
            case "first", [live]:
                raise Conflict(f"No other version of {name} was live before v{live}: promote one.", live=live)
            case "unknown", [_]:
                raise NotFound(f"There is no v{version} of {name}: `vestige lora list {name}` shows what there is.")
            case _:
                raise _no_character(name)
        if outcome == "moved":
            await self._tell(tenant, await self.get(tenant, name, int(to)))
        return Move.model_validate({"at": now, "by": by, "from": int(before), "to": int(to)})

    async def _tell(self, tenant: str, record: LoraRecord) -> None:
        version = record.short
        for listener in self._listeners:
            try:
                await listener(tenant, version)
            except VestigeError as error:  # it has moved all the same
                _log.warning("lora_move_not_followed", name=version.name, version=version.version, why=error.message)

    async def _every(self, tenant: str) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Summaries by `name@number`, and the live numbers by name."""
        with store_errors("memory"):
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hgetall(_key(tenant, "versions"))
                pipe.hgetall(_key(tenant, "live"))
                return tuple(await pipe.execute())

    async def _one(self, tenant: str, name: str) -> tuple[Mapping[str, str], Mapping[str, str]]:
        with store_errors("memory"):
            live, last = (
                await _answer(self._redis.hget(_key(tenant, "live"), name)),
                await _answer(self._redis.hget(_key(tenant, "last"), name)),
            )
            fields = [f"{name}@{number}" for number in range(1, int(last or 0) + 1)]
            texts = await _answer(self._redis.hmget(_key(tenant, "versions"), fields)) if fields else []
        return dict(zip(fields, texts, strict=True)), {name: live}


def _key(*parts: str) -> str:
    """What is of one kind comes before whose it is: no tenant's name makes a key of another kind."""
    return ":".join(("vestige", "loras", *parts))


def _named(field: str) -> tuple[str, int]:
    name, _, number = field.partition("@")
    return name, int(number)


def _summary_json(record: LoraRecord) -> str:
    facts = record.file.facts
    return json.dumps(
        {
            "sha256": record.file.sha256,
            "bytes": record.file.bytes,
            "base_family": facts.base_family,
            "base_sha256": facts.base_sha256,
            "evidence": facts.evidence,
            "dim": facts.dim,
            "alpha": facts.alpha,
            "steps": facts.steps,
            "added": record.added.isoformat(),
        },
        separators=(",", ":"),
    )


def _line(name: str, number: int, live: bool, summary: str) -> str:
    """A summary with what is not stored in it; a name needs no escapes."""
    return f'{{"name":"{name}","version":{number},"live":{"true" if live else "false"},{summary[1:]}'


def _no_character(name: str) -> NotFound:
    return NotFound(f"There is no LoRA of {name}: add one with `vestige lora add {name} FILE`.")


async def _answer(command: Any) -> Any:
    """What a command answers: in `str`, which redis-py's types cannot say."""
    return await command
