"""What a chain asks of a policy: which models, in which order, for this tier and mode, and within which bounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import TypeAdapter, ValidationError

from server.errors import InvalidRequest
from server.routing.policy.model import BUNDLED, Chain, Mode, Model, ModelId, PolicyFile
from server.routing.prices import Price
from server.routing.types import ModelRequest

SILENCE_SECONDS = 30.0
_ID = TypeAdapter(ModelId)


@dataclass(frozen=True, slots=True)
class Rung:
    """One model of a chain. `model` None: the provider's own choice, by purpose.

    `patience`: seconds to its first visible token, where that is less than what the chain leaves it.
    """

    provider: str
    model: str | None
    cap: Price | None = None
    preferences: Mapping[str, Any] = field(default_factory=dict)
    temperature: float | None = None
    max_tokens: int | None = None
    patience: float | None = None
    listed: bool = True  # in the policy, so that metrics may name it


@dataclass(frozen=True, slots=True)
class Route:
    """The rungs for a request. Seconds are for all of them together.

    `first_token_seconds` None: no bound on the first visible token, only on silence.
    """

    mode: str | None
    rungs: Sequence[Rung]
    total_seconds: float
    first_token_seconds: float | None = None
    silence_seconds: float = SILENCE_SECONDS


class Routes(Protocol):
    """A policy. Everything in it is an operator's."""

    @property
    def modes(self) -> frozenset[str]:
        """What a request may name as its mode."""
        ...

    @property
    def rungs(self) -> Sequence[Rung]:
        """Every model of the policy."""
        ...

    @property
    def context_tokens(self) -> int | None:
        """Prompt and reply together, where the smallest model of the policy says what it takes."""
        ...

    def route(self, request: ModelRequest) -> Route:
        """The route for a request.

        Raises:
            InvalidRequest: there is no such mode, or no such model as an admin named.
        """
        ...


@dataclass(frozen=True, slots=True)
class OneModel:
    """The policy of a server without a routing file: one provider, one model, no modes."""

    provider: str
    silence_seconds: float
    total_seconds: float

    @property
    def modes(self) -> frozenset[str]:
        return frozenset()

    @property
    def rungs(self) -> Sequence[Rung]:
        return (Rung(self.provider, None),)

    @property
    def context_tokens(self) -> int | None:
        return None

    def route(self, request: ModelRequest) -> Route:
        check_mode(request.mode, self.modes)
        names = list(request.chain)
        if request.primary is not None:
            names[:1] = [request.primary]
        rungs = [Rung(self.provider, model_id(name), listed=False) for name in names] or [Rung(self.provider, None)]
        return Route(None, rungs, self.total_seconds, silence_seconds=self.silence_seconds)


class FilePolicy:
    """The policy of `routing.toml`. `default_tier` stands in for a tier that is no longer there."""

    def __init__(self, file: PolicyFile, *, default_tier: str) -> None:
        self.file = file
        self._default_tier = default_tier if default_tier in file.tiers else next(iter(file.tiers))
        self._rungs = {name: self._rung(model) for name, model in file.models.items()}
        self._by_id = {model.id: name for name, model in reversed(file.models.items())}
        self._provider = next((model.provider for model in file.models.values() if model.provider != BUNDLED), BUNDLED)
        self._routes = {
            (tier, mode): self._made(file.chain(tier, mode), mode) for tier in file.tiers for mode in file.modes
        }

    @property
    def modes(self) -> frozenset[str]:
        return frozenset(self.file.modes)

    @property
    def rungs(self) -> Sequence[Rung]:
        return tuple(self._rungs.values())

    @property
    def context_tokens(self) -> int | None:
        return min((m.context_tokens for m in self.file.models.values() if m.context_tokens is not None), default=None)

    def route(self, request: ModelRequest) -> Route:
        check_mode(request.mode, self.modes)
        tier = request.tier if request.tier in self.file.tiers else self._default_tier
        route = self._routes[tier, request.mode or self.file.default_mode]
        if request.purpose == "summary":
            route = self._for_summaries(route)
        if request.chain or request.primary is not None:
            rungs = [self._named(name) for name in request.chain] or list(route.rungs)
            if request.primary is not None:
                first = self._named(request.primary)
                rungs = [first, *(rung for rung in rungs[1:] if _same(rung) != _same(first))]
            return _replaced(route, rungs)
        return route

    def _for_summaries(self, route: Route) -> Route:
        """The summary chain, or else the turn's own, without the model that is not good enough."""
        if (summary := self.file.summary) is not None:
            rungs = [self._rungs[name] for name in summary.chain]
            route = Route(None, rungs, summary.total_seconds, summary.first_token_seconds)
        good = [rung for rung in route.rungs if rung.provider != BUNDLED]
        return _replaced(route, good or route.rungs)

    def _named(self, name: str) -> Rung:
        """A model by its name in the file, by an id that is in it, or by an id that the first provider may have."""
        known = name if name in self._rungs else self._by_id.get(name)
        return self._rungs[known] if known is not None else Rung(self._provider, model_id(name), listed=False)

    def _made(self, chain: Chain, name: str) -> Route:
        mode: Mode = self.file.modes[name]
        rungs = []
        for one in chain.chain:
            rung, model = self._rungs[one], self.file.models[one]
            limits = [n for n in (chain.max_tokens, model.max_tokens, mode.max_tokens) if n is not None]
            warmth = [t for t in (chain.temperature, model.temperature, mode.temperature) if t is not None]
            rungs.append(
                Rung(
                    rung.provider,
                    rung.model,
                    rung.cap,
                    rung.preferences,
                    warmth[0] if warmth else None,
                    min(limits, default=None),
                    rung.patience,
                )
            )
        return Route(
            name,
            tuple(rungs),
            chain.total_seconds or mode.total_seconds,
            chain.first_token_seconds or mode.first_token_seconds,
        )

    def _rung(self, model: Model) -> Rung:
        preferences: dict[str, Any] = {}
        if model.preferences is not None:
            preferences = model.preferences.model_dump(mode="json", exclude_none=True)
        if model.max_price is not None:
            preferences["max_price"] = model.max_price.model_dump(exclude_unset=True)
        return Rung(
            model.provider,
            model.id,
            model.max_price.price if model.max_price else None,
            preferences,
            model.temperature,
            model.max_tokens,
            model.first_token_seconds,
        )


def check_mode(mode: str | None, modes: frozenset[str]) -> None:
    """Raises:
    InvalidRequest: the operator has set up no such mode.
    """
    if mode is not None and mode not in modes:
        known = f"the modes are {', '.join(sorted(modes))}" if modes else "no modes are set up here"
        raise InvalidRequest(f"There is no such mode: {known}.", field="mode", modes=sorted(modes))


def model_id(text: str) -> str:
    """`text` as a model's id.

    Raises:
        InvalidRequest: it cannot be one.
    """
    try:
        return _ID.validate_python(text)
    except ValidationError:
        raise InvalidRequest("A model is named by its name in the routing file, or by its id.", field="chain") from None


def _replaced(route: Route, rungs: Sequence[Rung]) -> Route:
    return Route(route.mode, rungs, route.total_seconds, route.first_token_seconds, route.silence_seconds)


def _same(rung: Rung) -> tuple[str, str | None]:
    return rung.provider, rung.model
