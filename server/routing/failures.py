"""What a model server's refusals mean: its status and error body → one of our errors, with a sentence that helps.

400 413 422              ModelMisconfigured   our request, or a model id it does not take
401 402 403              ModelMisconfigured   key, credit, permission
403 with moderation      ModelRefused         so is any error that names a content policy
404 410                  ModelUnknown         no such model, or a wrong address
400 that says so         ModelUnknown
408 409 425 429 5xx      ModelUnavailable     `retry_after` in seconds where the server said
3xx                      ModelMisconfigured   redirects are never followed: the key would travel along
an error in the stream   the same by its code; ModelUnavailable where it has none; details.in_stream

Which of them another model may mend, `mended_by_another` says.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from server.errors import (
    ModelError,
    ModelMisconfigured,
    ModelRefused,
    ModelTimeout,
    ModelUnavailable,
    ModelUnknown,
)
from server.routing.types import PromptMessage
from server.routing.wire import DISPENSABLE

_SLUG = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_TRANSIENT = frozenset({408, 409, 425, 429})
_POLICY = ("moderation", "content_policy", "content_filter", "content_management", "safety")
_TOO_LONG = ("context_length", "context_size", "context_window", "prompt_too_long", "string_too_long")
_UNKNOWN = ("model_not_found", "invalid_model", "unknown_model", "model_not_available", "model_deprecated")
_SAYS_UNKNOWN = re.compile(
    r"not a valid model|no endpoints found|unknown model|model\b.{0,120}\b(?:not found|not exist|deprecated|retired|"
    r"no longer (?:available|supported))",
    re.IGNORECASE | re.DOTALL,
)
_MAX_SAID = 200
_QUOTE = 24  # so many characters in common with the prompt are a quotation of it
_MAX_RETRY_AFTER = 86_400.0


@dataclass(frozen=True, slots=True)
class Target:
    """Who was asked for what, as sentences need it. `key_name`, `model_name`: the settings a person would change."""

    title: str  # begins a sentence: `The model server at example.org`
    model: str
    key_name: str | None
    model_name: str
    has_key: bool

    def __str__(self) -> str:
        return self.title


@dataclass(frozen=True, slots=True)
class Report:
    """An error body, whichever of the known shapes it has. `kinds` are its machine-readable names."""

    code: int | None
    kinds: tuple[str, ...]
    message: str
    moderated: bool
    in_flight: bool  # credit that is only held by other calls at this moment
    prompt_tokens: int | None = None
    context_tokens: int | None = None

    def names(self, words: Sequence[str]) -> bool:
        return any(word in kind.lower() for kind in self.kinds for word in words)


def read_report(body: object) -> Report:
    """Reads `{"error": {…}}`, `{"error": "text"}`, `{"message": …}` or `{"detail": …}`."""
    error: Any = body
    if isinstance(body, Mapping):
        error = body.get("error") or body.get("detail") or body
    if isinstance(error, list):  # pydantic's; their `input` is left out: it is the prompt
        parts = [part for part in error[:5] if isinstance(part, Mapping)]
        error = "; ".join(f"{part.get('loc')}: {part.get('msg')}" for part in parts)
    if not isinstance(error, Mapping):
        return Report(None, (), error if isinstance(error, str) else "", moderated=False, in_flight=False)
    metadata = error.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    code = error.get("code")
    number = int(code) if isinstance(code, int | str) and re.fullmatch(r"[1-5][0-9]{2}", str(code)) else None
    candidates = (code, error.get("type"), metadata.get("error_type"), error.get("param"))
    kinds = tuple(kind for kind in candidates if isinstance(kind, str) and _SLUG.fullmatch(kind))
    message = error.get("message")
    return Report(
        code=number,
        kinds=kinds,
        message=message if isinstance(message, str) else "",
        moderated="flagged_input" in metadata or "reasons" in metadata,
        in_flight=metadata.get("limit_source") == "openrouter_in_flight_budget",
        prompt_tokens=_positive(error.get("n_prompt_tokens")),
        context_tokens=_positive(error.get("n_ctx")),
    )


def failure(
    target: Target, status: int, report: Report, headers: Mapping[str, str], prompt: Sequence[PromptMessage]
) -> ModelError:
    """The error for a status and the body that came with it. Nothing of the prompt gets into it."""
    details: dict[str, object] = {"upstream_status": status, "model": target.model}
    if report.kinds:
        details["upstream_code"] = report.kinds[0]
    if report.prompt_tokens and report.context_tokens:
        details.update(prompt_tokens=report.prompt_tokens, context_tokens=report.context_tokens)

    if (status == 403 and report.moderated) or (400 <= status < 500 and report.names(_POLICY)):
        details["refusal"] = "content_filter"
        return ModelRefused(
            "The provider's content filter refused the message. Rephrase it, or choose another model.", **details
        )
    if status in _TRANSIENT or status >= 500 or (status == 402 and report.in_flight):
        wait = _retry_after(headers)
        if wait is not None:
            details["retry_after"] = wait
        when = f"in {wait:.0f} s" if wait else "in a moment"
        state = "is over its rate limit" if status == 429 else f"cannot answer just now (status {status})"
        return ModelUnavailable(f"{target} {state}. Try again {when}.", **details)
    kind = ModelUnknown if status in (404, 410) or (status == 400 and _says_unknown(report)) else ModelMisconfigured
    return kind(_sentence(target, status, report, prompt), **details)


def mended_by_another(error: ModelError) -> bool:
    """Whether another model may do better: not with a bad key, no credit, or a bad request of ours.

    An error within a stream is the model's however it is numbered: key, credit and request had been taken.
    """
    if isinstance(error, ModelUnavailable | ModelTimeout | ModelRefused | ModelUnknown):
        return True
    return error.details.get("in_stream") is True


class Unreachable(ModelUnavailable):
    """Nothing was sent, so nothing was generated."""


def _says_unknown(report: Report) -> bool:
    return report.names(_UNKNOWN) or bool(_SAYS_UNKNOWN.search(report.message[:1_000]))


def _sentence(target: Target, status: int, report: Report, prompt: Sequence[PromptMessage]) -> str:
    """What is wrong with our side and which setting mends it."""
    model, key, name = repr(target.model), target.key_name, target.model_name
    if status == 401:
        if key is None:
            return f"{target} refused its own key. Restart the server."
        return f"{target} refused the key: check {key}." if target.has_key else f"{target} wants a key: set {key}."
    if status == 402:
        return f"{target} says there is no credit for {model}: add credit there, or set {name} to a free model."
    if status == 403:
        return f"{target} does not allow this key to use {model}: check {key or 'the key'} and its permissions."
    if status in (404, 410) or (status == 400 and _says_unknown(report)):
        return (
            f"{target} does not offer the model {model}: check {name}, and that the address is whole "
            f"(it often ends in /v1).{_said(report, prompt)}"
        )
    if 300 <= status < 400:
        return f"{target} answered with a redirect, which is not followed: set the address it redirects to."
    if status == 413 or report.names(_TOO_LONG):
        sizes = f" ({report.prompt_tokens} tokens of at most {report.context_tokens})" if report.context_tokens else ""
        return f"The prompt is longer than {model} takes{sizes}: lower context_tokens in the plan, or change {name}."
    return f"{target} rejected the request for {model} (status {status}): check {name}.{_said(report, prompt)}"


def _said(report: Report, prompt: Sequence[PromptMessage]) -> str:
    """The server's own words, in one short line, unless they quote the prompt or look like a key."""
    text = " ".join("".join(c if c.isprintable() else " " for c in report.message[: 2 * _MAX_SAID]).split())
    text = text[:_MAX_SAID]
    if not text or re.search(r"\b(sk|key|pk)-|Bearer", text, re.IGNORECASE):
        return ""
    whole = "\n".join(" ".join(message.content.split()) for message in prompt)
    if any(text[at : at + _QUOTE] in whole for at in range(max(1, len(text) - _QUOTE + 1))):
        return ""
    return f" It said: {text!r}"


def refused_field(report: Report, body: Mapping[str, object]) -> str | None:
    """A dispensable field of `body` that the error names, so that the call can be made without it."""
    for field in DISPENSABLE:
        named = field in report.kinds or re.search(rf"[\"'`.]{field}\b", report.message)
        if field in body and named and (field != "max_tokens" or "max_completion_tokens" in report.message):
            return field
    return None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of `Retry-After` (RFC 9110, 10.2.3): a number or a date."""
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
        return min(float(value), _MAX_RETRY_AFTER)
    try:
        date = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return min(max(0.0, (date - datetime.now(UTC)).total_seconds()), _MAX_RETRY_AFTER)


def _positive(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
