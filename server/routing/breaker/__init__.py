"""A circuit breaker for each model, in Redis, so that all servers rest a failing one together.

    closed      it is asked; so many failures in a row open it, a `Retry-After` at once
    open        it is not asked
    half open   the rest is over: one request, of whichever server, is the probe; the others still pass it by

Every server remembers for a second what it read, so that a healthy model costs a request nothing. Where Redis does not
answer nothing rests: whether money may be spent is the ledger's to say, not ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

__all__ = ["Breaker", "Health", "NoBreaker", "State"]

State = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True)
class Health:
    """What the breaker knows of a model. `rest`: seconds it is still not asked, 0 where it may be."""

    state: State
    rest: float
    failures: int


class Breaker(Protocol):
    """Says which models rest. Keys are `(provider, model)`."""

    async def health(self, models: Sequence[tuple[str, str]]) -> list[Health]:
        """How each model stands.

        Raises:
            StoreUnavailable: that cannot be read.
        """
        ...

    async def rests(self, models: Sequence[tuple[str, str]]) -> list[float]:
        """Seconds each model still rests; 0 for one that may be asked."""
        ...

    async def admit(self, provider: str, model: str) -> float:
        """0 where this very request may go out, as the probe perhaps; else seconds to wait."""
        ...

    async def failed(self, provider: str, model: str, retry_after: float | None = None) -> None: ...

    async def succeeded(self, provider: str, model: str) -> None: ...

    async def released(self, provider: str, model: str) -> None:
        """The request ended without showing whether the model is well: another may be the probe."""
        ...


class NoBreaker:
    """Nothing ever rests: where there is one model there is nothing to fall back to."""

    async def health(self, models: Sequence[tuple[str, str]]) -> list[Health]:
        return [Health("closed", 0.0, 0)] * len(models)

    async def rests(self, models: Sequence[tuple[str, str]]) -> list[float]:
        return [0.0] * len(models)

    async def admit(self, provider: str, model: str) -> float:
        return 0.0

    async def failed(self, provider: str, model: str, retry_after: float | None = None) -> None: ...

    async def succeeded(self, provider: str, model: str) -> None: ...

    async def released(self, provider: str, model: str) -> None: ...
