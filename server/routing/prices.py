"""What tokens cost, in whole numbers: micro-dollars for a million tokens. No price is negative, and none is absurd."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, InvalidOperation

from server.routing.types import PromptMessage, Usage

MILLION = 1_000_000
MAX_TOKEN_PRICE = 5_000 * MILLION  # $5,000 for a million tokens: five times the dearest model there ever was
MAX_REQUEST_PRICE = 10 * MILLION  # $10 for one request
TOKENS_AROUND_A_MESSAGE = 16  # role and separators, in any chat template


class BadPrice(ValueError):
    """A price that is negative, absurd or no number."""


@dataclass(frozen=True, slots=True)
class Price:
    """Micro-dollars for a million tokens of the prompt and of the reply, and for one request."""

    prompt: int
    completion: int
    request: int = 0

    @property
    def free(self) -> bool:
        return not (self.prompt or self.completion or self.request)

    def cost(self, usage: Usage) -> int:
        """Micro-dollars, rounded up. Cached tokens count in full, so this is never below the bill."""
        return self._sum(usage.prompt_tokens, usage.completion_tokens)

    def most(self, messages: Iterable[PromptMessage], max_tokens: int) -> int:
        """The most that a request can cost, in micro-dollars.

        No tokenizer makes more than one token of a byte, so the prompt's bytes bound its tokens.
        """
        prompt = sum(len(message.content.encode("utf-8", "replace")) + TOKENS_AROUND_A_MESSAGE for message in messages)
        return self._sum(prompt, max_tokens)

    def within(self, cap: "Price") -> bool:
        """Whether no part of it is above `cap`."""
        return self.prompt <= cap.prompt and self.completion <= cap.completion and self.request <= cap.request

    def _sum(self, prompt: int, completion: int) -> int:
        return self.request + -(-(prompt * self.prompt + completion * self.completion) // MILLION)


FREE = Price(0, 0)
UNKNOWN = Price(prompt=20 * MILLION, completion=100 * MILLION, request=MILLION // 10)
"""What is put aside where nobody says what a model costs: more than nearly all of them do."""


def read_price(pricing: object) -> Price:
    """`pricing` of OpenRouter's `/models`: dollars for one token, as text.

    Parts that are not there cost nothing. Images, searches and the like are not used here, so their prices do not
    matter.

    Raises:
        BadPrice: a part is negative (a router's, whose price is not known before), absurd, or no number.
    """
    if not isinstance(pricing, Mapping):
        raise BadPrice("no price")
    # hidden reasoning is billed within the completion, at its own rate where there is one
    completion = max(_part(pricing, "completion", MILLION), _part(pricing, "internal_reasoning", MILLION))
    price = Price(_part(pricing, "prompt", MILLION), completion, _part(pricing, "request", 1))
    if max(price.prompt, price.completion) > MAX_TOKEN_PRICE or price.request > MAX_REQUEST_PRICE:
        raise BadPrice("an absurd price")
    return price


def dollars(prompt: float, completion: float, request: float = 0.0) -> Price:
    """A price as people write it: dollars for a million tokens, and dollars for one request."""
    return Price(_micro(prompt), _micro(completion), _micro(request))


def _part(pricing: Mapping[str, object], name: str, times: int) -> int:
    value = pricing.get(name, "0")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadPrice(f"the price of {name} is no number")
    try:
        number = Decimal(str(value).strip() or "0")
    except InvalidOperation:
        raise BadPrice(f"the price of {name} is no number") from None
    if not number.is_finite():
        raise BadPrice(f"the price of {name} is no number")
    if number < 0:
        raise BadPrice(f"the price of {name} is negative")
    if number > MAX_REQUEST_PRICE:
        raise BadPrice(f"the price of {name} is absurd")
    return int((number * times * MILLION).to_integral_value(rounding=ROUND_CEILING))


def _micro(value: float) -> int:
    if not math.isfinite(value) or value < 0:
        raise BadPrice("a price is negative or no number")
    return int((Decimal(str(value)) * MILLION).to_integral_value(rounding=ROUND_CEILING))
