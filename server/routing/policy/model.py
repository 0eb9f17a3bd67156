"""`routing.toml` as typed models: what each part may hold, and what must fit together.

[providers.NAME]      where models are served, and the environment variable that holds the key
[models.NAME]         one model there: id, price cap, preferences, limits of its own
[modes.NAME]          a kind of turn: content level, deadlines, size, temperature
[tiers.NAME]          for each mode the chain of models, or `like` another tier
[summary] [breaker]   who writes memory, and when a failing model rests
"""

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from server.errors import SettingsError
from server.routing.options import parse_base_url
from server.routing.prices import MAX_REQUEST_PRICE, MAX_TOKEN_PRICE, MILLION, Price, dollars
from server.routing.wire import Dialect

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
ModelId = Annotated[str, Field(pattern=r"^[A-Za-z0-9~@][A-Za-z0-9._:/@~+-]{0,199}$")]
Seconds = Annotated[float, Field(gt=0, le=3_600)]
Tokens = Annotated[int, Field(ge=16, le=1_000_000)]
Temperature = Annotated[float, Field(ge=0, le=2)]
Slugs = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=100)], ...], Field(max_length=50)]

MAX_RUNGS = 8
OPENROUTER, BUNDLED = "openrouter", "bundled"
OPENROUTER_URL = "https://openrouter.ai/api/v1"
LIKE = "like"


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Provider(Part):
    """A server of models. `openrouter` and `bundled` need no address. `key` names an environment variable."""

    base_url: str | None = None
    key: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,99}$")] | None = None
    speaks: Literal["openrouter", "openai", "plain"] | None = None

    @field_validator("base_url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                parse_base_url(value, "it")
            except SettingsError as error:
                raise ValueError(error.message.rstrip(".")) from None
        return value

    @property
    def dialect(self) -> Dialect | None:
        """None: as the host's name suggests."""
        return None if self.speaks is None else Dialect(self.speaks)


class PriceCap(Part):
    """Dollars for a million tokens, and dollars for one request; a dearer model is not asked."""

    prompt: Annotated[float, Field(ge=0, le=MAX_TOKEN_PRICE / MILLION)]
    completion: Annotated[float, Field(ge=0, le=MAX_TOKEN_PRICE / MILLION)]
    request: Annotated[float, Field(ge=0, le=MAX_REQUEST_PRICE / MILLION)] = 0.0

    @property
    def price(self) -> Price:
        return dollars(self.prompt, self.completion, self.request)


class Preferences(Part):
    """OpenRouter's `provider` object, but for `max_price`, which the price cap sets."""

    order: Slugs | None = None
    only: Slugs | None = None
    ignore: Slugs | None = None
    allow_fallbacks: bool | None = None
    require_parameters: bool | None = None
    data_collection: Literal["allow", "deny"] | None = None
    zdr: bool | None = None
    quantizations: Slugs | None = None
    sort: Literal["price", "throughput", "latency"] | None = None
    preferred_min_throughput: Annotated[float, Field(gt=0)] | None = None
    preferred_max_latency: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if both := set(self.only or ()) & set(self.ignore or ()):
            raise ValueError(f"{sorted(both)[0]!r} is in both only and ignore")
        return self


class Model(Part):
    """A model at a provider. `context_tokens`: what prompt and reply may hold together, where it is small."""

    id: ModelId
    provider: Name = OPENROUTER
    max_price: PriceCap | None = None
    preferences: Preferences | None = None
    temperature: Temperature | None = None
    max_tokens: Tokens | None = None
    context_tokens: Annotated[int, Field(ge=512, le=10_000_000)] | None = None
    first_token_seconds: Seconds | None = None


class Mode(Part):
    """A kind of turn. `level` is the content level it is meant for, by name.

    `first_token_seconds` is for all models of a chain together: until somebody sees something.
    """

    level: Name | None = None
    first_token_seconds: Seconds = 10.0
    total_seconds: Seconds = 120.0
    max_tokens: Tokens | None = None
    temperature: Temperature | None = None


class Chain(Part):
    """The models of a tier in a mode, the first one asked first, and what differs from the mode."""

    chain: Annotated[tuple[Name, ...], Field(min_length=1, max_length=MAX_RUNGS)]
    first_token_seconds: Seconds | None = None
    total_seconds: Seconds | None = None
    max_tokens: Tokens | None = None
    temperature: Temperature | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        return {"chain": value} if isinstance(value, list) else value

    @field_validator("chain")
    @classmethod
    def _no_loop(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if twice := repeated(value):
            raise ValueError(f"the chain loops: {twice!r} is in it twice")
        return value


class Tier(BaseModel):
    """Mode → chain. `like`: the modes that are not named here are that tier's."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, Chain] = Field(init=False)  # pyright: ignore[reportIncompatibleVariableOverride]

    like: Name | None = None

    @property
    def chains(self) -> dict[str, Chain]:
        return self.__pydantic_extra__ or {}


class Summary(Part):
    """Who writes summaries and facts, for every tier."""

    chain: Annotated[tuple[Name, ...], Field(min_length=1, max_length=MAX_RUNGS)]
    first_token_seconds: Seconds = 30.0
    total_seconds: Seconds = 120.0


class BreakerRules(Part):
    """A model rests after so many failures in a row: `rest_seconds`, twice that the next time, at most the longest."""

    failures: Annotated[int, Field(ge=1, le=100)] = 3
    rest_seconds: Seconds = 15.0
    longest_seconds: Seconds = 240.0


class PolicyFile(Part):
    """The whole file."""

    default_mode: Name
    providers: dict[Name, Provider] = Field(default_factory=dict)
    models: Annotated[dict[Name, Model], Field(min_length=1)]
    modes: Annotated[dict[Name, Mode], Field(min_length=1)]
    tiers: Annotated[dict[Name, Tier], Field(min_length=1)]
    summary: Summary | None = None
    breaker: BreakerRules = BreakerRules()

    def provider(self, name: str) -> Provider:
        """A provider by name; the two that need no table are always there."""
        if name == OPENROUTER:
            given = self.providers.get(name, Provider())
            return given.model_copy(
                update={"base_url": given.base_url or OPENROUTER_URL, "key": given.key or "OPENROUTER_API_KEY"}
            )
        return Provider() if name == BUNDLED else self.providers[name]

    def chain(self, tier: str, mode: str) -> Chain:
        """The chain of a tier in a mode, its own or another tier's.

        Raises:
            KeyError: there is no such tier or mode.
        """
        found = self.tiers[tier]
        while mode not in found.chains and found.like is not None:
            found = self.tiers[found.like]
        return found.chains[mode]


def repeated(names: Iterable[str]) -> str | None:
    """The first name that comes twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
