"""What is known of hosts, what a render needs of one, and the lease on a place there. All of it goes through JSON."""

from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any, Literal, Self

from pydantic import TypeAdapter

from server.render.graphs.nodes import File

__all__ = ["Claim", "HostConfig", "HostState", "Needs", "Pack", "Verdict"]

Pack = Literal["vestige", "ipadapter_plus", "none"]


class _Json:
    """To and from plain lists, mappings, numbers and text."""

    __slots__ = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)  # pyright: ignore[reportArgumentType] - its subclasses are dataclasses

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Raises `ValueError` where it is no such thing."""
        return _adapter(cls).validate_python(value)


@cache
def _adapter(cls: type[Any]) -> TypeAdapter[Any]:
    """Made once: making it takes 10 ms, and every look at the line reads a hundred needs."""
    return TypeAdapter(cls)


@dataclass(frozen=True, slots=True)
class HostConfig:
    """A host of the settings. `token` opens our pack's routes there; it is never shown."""

    name: str
    url: str
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class HostState(_Json):
    """How a host does. Times are seconds since 1970, UTC.

    `healthy`: it answered when it was last looked at. `usable`: new work goes there. `why`: one sentence where it is
    not usable. `opened`: its pack's routes take our token. `warm`: content ids of what the work there loads last.
    `queue`: renders there that are ours, `strangers`: and those that are not. `claims`: places given out.
    `seconds`: what a render takes there with warm models, None before one was measured; `swap_seconds`: how much longer
    with others. `problems`: what an operator should put right.
    """

    name: str
    healthy: bool = False
    usable: bool = False
    why: str | None = None
    version: str | None = None
    pack: Pack = "none"
    opened: bool = False
    devices: tuple[str, ...] = ()
    warm: tuple[str, ...] = ()
    queue: int = 0
    strangers: int = 0
    claims: int = 0
    drained: bool = False
    benched_until: float | None = None
    failures: int = 0
    seconds: float | None = None
    swap_seconds: float | None = None
    problems: tuple[str, ...] = ()
    seen: float | None = None


@dataclass(frozen=True, slots=True)
class Needs(_Json):
    """What one waiting render needs of a host, and how long it has waited.

    `classes`: node classes. `files`: models, with the sha256 that is wanted. `models`: their content ids by folder
    (`checkpoints/sha256:…`), which is what stays loaded. `urgent`: a person waits. `since`: when it began to wait,
    seconds since 1970. `avoid`: hosts where it failed; another is taken if there is one.
    """

    classes: tuple[str, ...]
    files: tuple[File, ...] = ()
    models: tuple[str, ...] = ()
    urgent: bool = True
    since: float = 0.0
    avoid: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do after a failure. `again`: it is worth another try; `elsewhere`: on another host, if there is one.
    `times`: so many more at most, None for as long as it takes.
    """

    again: bool
    elsewhere: bool = False
    times: int | None = None


@dataclass(frozen=True, slots=True)
class Claim(_Json):
    """A place on a host, ours until the lease runs out: renew it.

    `keyed`: the host's pack runs a graph once by its key. `swap`: how much of a checkpoint's swap it takes to load what
    it needs there; 0 where that is loaded.
    """

    host: str
    slot: str
    keyed: bool = False
    swap: float = 0.0
