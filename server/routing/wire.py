"""What a chat-completions server is sent and what one chunk of its stream says, as plain values."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from enum import Enum
from typing import Any

from server.routing.types import ModelRequest, PromptMessage, Usage

MAX_BREAKPOINTS = 4
MAX_COUNT = 10**12
# Models behind OpenRouter that cache a prefix only, or better, where a breakpoint marks it.
_TAKES_BREAKPOINTS = ("anthropic/", "~anthropic/", "google/gemini", "~google/gemini", "qwen/", "alibaba/")


MAX_MODEL = 200  # characters of a model's name
# What a chunk may hold beside its text and still say nothing else.
_QUIET_DELTA = frozenset({"role", "content"})
_QUIET_BODY = frozenset(
    {"choices", "created", "id", "model", "object", "provider", "service_tier", "system_fingerprint"}
)
_Speaker = tuple[str, str]
"""Which model, and which generation of its."""


class Dialect(Enum):
    """Whose additions to the common API an endpoint speaks."""

    PLAIN = "plain"
    OPENAI = "openai"
    OPENROUTER = "openrouter"

    @classmethod
    def of(cls, host: str) -> "Dialect":
        if host == "openrouter.ai" or host.endswith(".openrouter.ai"):
            return cls.OPENROUTER
        if host == "api.openai.com" or host.endswith((".api.openai.com", ".openai.azure.com")):
            return cls.OPENAI
        return cls.PLAIN


def request_body(
    request: ModelRequest, model: str, dialect: Dialect, preferences: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The JSON body of a streamed chat completion. `preferences`: OpenRouter's `provider` object."""
    breakpoints = dialect is Dialect.OPENROUTER and model.startswith(_TAKES_BREAKPOINTS)
    body: dict[str, Any] = {
        "model": model,
        "messages": _messages(request.messages, breakpoints=breakpoints),
        "stream": True,
        # the newer name is the only one OpenAI's reasoning models take, and unknown elsewhere
        "max_completion_tokens" if dialect is Dialect.OPENAI else "max_tokens": request.max_tokens,
    }
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if dialect is Dialect.OPENROUTER:
        # it always sends usage; by default it would cut long prompts in the middle, where the memory is
        body["plugins"] = [{"id": "context-compression", "enabled": False}]
        if preferences:
            body["provider"] = dict(preferences)
        if request.session is not None:
            key = hashlib.sha256(request.session.encode()).hexdigest()[:32]
            body["session_id"] = body["user"] = key
    else:
        body["stream_options"] = {"include_usage": True}
    return body


# Fields that a server may refuse and the call can do without, or, the last, say in another way.
DISPENSABLE = ("stream_options", "temperature", "plugins", "session_id", "user", "max_tokens")


def without(body: Mapping[str, Any], field: str) -> dict[str, Any]:
    """`body` for a server that does not take `field`."""
    rest = {name: value for name, value in body.items() if name != field}
    if field == "max_tokens":  # never without a bound
        rest["max_completion_tokens"] = body[field]
    return rest


def _messages(messages: Sequence[PromptMessage], *, breakpoints: bool) -> list[dict[str, Any]]:
    marked = [index for index, message in enumerate(messages) if message.cacheable] if breakpoints else []
    if len(marked) > MAX_BREAKPOINTS:
        marked = [marked[0], *marked[1 - MAX_BREAKPOINTS :]]  # the part that never changes, and the longest prefixes
    return [
        {
            "role": message.role,
            "content": [{"type": "text", "text": message.content, "cache_control": {"type": "ephemeral"}}]
            if index in marked
            else message.content,
        }
        for index, message in enumerate(messages)
    ]


@dataclass(slots=True)  # not frozen: that would make each of a stream's many dear
class Chunk:
    """What one event of the stream says, or several that hold text alone. `text` is visible; `alive` means the model is
    at work, seen or not."""

    text: str = ""
    alive: bool = False
    reasoning: bool = False
    refusal: bool = False
    reason: str | None = None
    model: str | None = None
    usage: Usage | None = None
    error: Any = None
    id: str | None = None


def read_chunks(events: Sequence[str]) -> Iterator[Chunk]:
    """What the data of events that arrived together says: text as one chunk, since all that follows costs the same for
    each, and what holds anything else one by one.

    Raises:
        ValueError: one is not a JSON object; what those before it say came already.
        RecursionError: one is nested so deeply that no reader takes it.
    """
    texts: list[str] = []
    speaker: _Speaker | None = None
    try:
        for body in _as_one_list(events) or map(json.loads, events):
            text, who = _nothing_but_text(body)
            if texts and who != speaker:
                yield _spoken(texts, speaker)
                texts = []
            speaker = who
            if who is None:
                yield chunk_of(body)
            else:
                texts.append(text)
    except (ValueError, RecursionError):
        if texts:
            yield _spoken(texts, speaker)
        raise
    if texts:
        yield _spoken(texts, speaker)


def _spoken(texts: Sequence[str], speaker: _Speaker | None) -> Chunk:
    model, id = speaker or (None, None)
    return Chunk("".join(texts), alive=True, model=model, id=id)


def _as_one_list(events: Sequence[str]) -> list[object] | None:
    """The JSON of all events, read at once for half of what it costs one by one; None where that cannot be."""
    try:
        bodies = json.loads(f"[{','.join(events)}]")
    except (ValueError, RecursionError):
        return None
    return bodies if len(bodies) == len(events) else None  # else some were parts of one, and no JSON by themselves


def _nothing_but_text(body: Any) -> tuple[str, _Speaker | None]:
    """What nearly every event of a stream says, read at half the cost; nobody for any other, which `chunk_of` reads."""
    try:
        choice = body["choices"][0]
        text = choice["delta"]["content"]
        model, id = body["model"], body["id"]
    except (KeyError, TypeError, IndexError):
        return "", None
    if not (type(text) is type(model) is type(id) is str and text and 0 < len(model) <= MAX_MODEL):
        return "", None
    if not (_QUIET_DELTA.issuperset(choice["delta"]) and _QUIET_BODY.issuperset(body)):
        return "", None
    if choice.get("error") or choice.get("finish_reason") is not None:
        return "", None
    return text, (model, id)


def chunk_of(body: object) -> Chunk:
    """What a `chat.completion.chunk` says, or a whole `chat.completion` from a server that does not stream.

    Raises:
        ValueError: it is not a JSON object.
    """
    if not isinstance(body, dict):
        raise ValueError("not a JSON object")
    model = body.get("model")
    model = model[:MAX_MODEL] if isinstance(model, str) and model else None
    usage = read_usage(body.get("usage"))
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        delta = choice.get("message")
        delta = delta if isinstance(delta, dict) else {}
    text = _text(delta.get("content"))
    reasoning = bool(delta.get("reasoning") or delta.get("reasoning_content") or delta.get("reasoning_details"))
    reason = choice.get("finish_reason")
    reason = reason[:64] if isinstance(reason, str) and reason else None
    error = body.get("error") or choice.get("error")
    return Chunk(
        text=text,
        alive=bool(text or reasoning or delta.get("tool_calls")),
        reasoning=reasoning,
        refusal=bool(delta.get("refusal")),
        reason=reason,
        model=model,
        usage=usage,
        id=id if isinstance(id := body.get("id"), str) else None,
        error=error or ({"message": ""} if reason == "error" else None),
    )


def _text(content: object) -> str:
    """Visible text of a delta: a string, or the text parts of a list (thinking parts are not visible)."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        return "".join(part for part in parts if isinstance(part, str))
    return ""


def read_usage(value: object) -> Usage | None:
    """Usage where both counts are there; nothing is guessed, and nothing is negative."""
    if not isinstance(value, Mapping):
        return None
    prompt, completion = _count(value.get("prompt_tokens")), _count(value.get("completion_tokens"))
    if prompt is None or completion is None:
        return None
    prompt_details, completion_details = value.get("prompt_tokens_details"), value.get("completion_tokens_details")
    cached = _count(prompt_details.get("cached_tokens")) if isinstance(prompt_details, Mapping) else None
    reasoning = _count(completion_details.get("reasoning_tokens")) if isinstance(completion_details, Mapping) else None
    return Usage(prompt, completion, cached or 0, reasoning or 0, read_cost(value))


def read_cost(usage: Mapping[str, Any]) -> int | None:
    """What the provider charged; with a key of one's own for the model's maker, what the maker charges too."""
    cost = micro_dollars(usage.get("cost"))
    details = usage.get("cost_details")
    if cost is None or usage.get("is_byok") is not True or not isinstance(details, Mapping):
        return cost
    return cost + (micro_dollars(details.get("upstream_inference_cost")) or 0)


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return min(max(0, int(value)), MAX_COUNT)


def micro_dollars(dollars: object) -> int | None:
    """Dollars as the provider says them → micro-dollars, rounded up; None for what no cost can be.

    A negative cost is such a thing: taken for 0 it would leave the ledger below the bill.
    """
    if isinstance(dollars, bool) or not isinstance(dollars, int | float) or not math.isfinite(dollars) or dollars < 0:
        return None
    cost = int((Decimal(str(dollars)) * 1_000_000).to_integral_value(rounding=ROUND_CEILING))
    return cost if cost <= MAX_COUNT else None
