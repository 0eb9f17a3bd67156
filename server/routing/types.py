"""The one narrow door between a chat turn and whichever language model answers it."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class PromptMessage:
    """One message of a prompt. `cacheable`: everything up to and with this message repeats on the next turn."""

    role: Literal["system", "user", "assistant"]
    content: str
    cacheable: bool = False


@dataclass(frozen=True, slots=True)
class Payer:
    """Whose spending ceilings a call counts against. `tier` says which plan's."""

    tenant: str
    user: str
    tier: str


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What a caller asks of a model; which model that is, routing decides from tier, mode and purpose.

    `session` is an opaque, stable key of the conversation (never a person's id) for sticky routing and caching.
    `payer` None: nobody pays and nothing is counted, as in tests and measurements. `primary` and `chain`, names or ids
    of models, replace the first or all of those that would be asked: an admin's to choose.
    """

    messages: Sequence[PromptMessage]
    purpose: Literal["chat", "summary"] = "chat"
    tier: str = "free"
    mode: str | None = None
    max_tokens: int = 800
    temperature: float | None = None
    session: str | None = None
    payer: Payer | None = None
    primary: str | None = None
    chain: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider counted them; `cost` in micro-dollars where it said."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost: int | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of visible text."""

    text: str


AttemptOutcome = Literal[
    "answered",
    "cut_off",  # it failed after visible tokens
    "aborted",  # nobody wanted it any more
    "content_filter",
    "refusal",
    "empty",
    "reasoning",  # the whole budget went into it
    "unavailable",
    "rate_limited",
    "timeout",
    "unknown_model",
    "misconfigured",
    "resting",  # not asked: its circuit is open
    "too_dear",  # not asked: above its price cap
    "over_budget",  # not asked: a ceiling leaves no room for it
]
"""How an attempt ended. From `content_filter` to `reasoning` the model refused without a visible word."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One rung of the chain and how it went. `rung` counts from 1; times in milliseconds; `status` is HTTP's."""

    rung: int
    model: str
    provider: str
    outcome: AttemptOutcome
    status: int | None = None
    first_token_ms: int | None = None
    total_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of a stream that ended well. `reason` is an open set: `stop`, `length`, …

    `attempts` are the rungs that were looked at, the last of which, number `attempt`, answered.
    """

    model: str
    reason: str
    usage: Usage | None
    attempt: int = 1
    attempts: Sequence[Tried] = ()

    @property
    def used_fallback(self) -> bool:
        return self.attempt > 1


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a person may know of the model in use. `bundled`: the small one that ships for a first look.

    `modes`: the content modes a turn may ask for; none where the operator has set none up.
    """

    name: str
    provider: str  # the host alone, never a whole URL: a URL can carry a credential
    bundled: bool
    writes_memory: bool  # good enough to write summaries and facts
    context_tokens: int | None = None  # prompt and reply together, where it is known to be less than a plan may ask
    banner: str | None = None  # what the page says above the chat, in plain text
    modes: frozenset[str] = frozenset()


class LanguageModel(Protocol):
    """Answers requests: a chain of models, or one of them."""

    @property
    def info(self) -> ModelInfo: ...

    def stream(self, request: ModelRequest) -> AsyncGenerator[Token | Finished, None]:
        """Tokens, then one `Finished`.

        A stream without any visible token never ends in `Finished`: it raises. Closing the generator aborts the call.

        Raises:
            ModelError: or one of its kinds; also after tokens, when the stream breaks off.
            InvalidRequest: the operator has set up no such mode.
        """
        ...

    async def complete(self, request: ModelRequest) -> tuple[str, Finished]:
        """The whole text at once. Raises as `stream` does."""
        ...

    async def check(self) -> None:
        """Says whether the model would answer, without spending a token; a good answer is remembered for seconds.

        Raises:
            ModelError: it is not reachable, still loading, or refuses the key.
        """
        ...
