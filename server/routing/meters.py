"""What Prometheus learns of attempts. Labels are a policy's own names: what an admin typed in a request is `other`."""

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram

from server.routing.journal import NO_MODE, Entry, TurnOutcome

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 12, 20, 30, 60, 120, 180)


class AttemptMeters:
    """Counters and histograms of attempts; times are seconds, money micro-dollars."""

    def __init__(self, registry: CollectorRegistry) -> None:
        attempts = Counter(
            "vestige_model_attempts",
            "Rungs of chains that were looked at, by how that ended.",
            ("model", "rung", "mode", "outcome"),
            registry=registry,
        )
        turns = Counter(
            "vestige_model_turns",
            "Requests by whether the first model answered, another, none, or it broke off.",
            ("outcome",),
            registry=registry,
        )
        refusals = Counter(
            "vestige_model_silent_refusals",
            "Attempts that were answered without a visible word: filtered, refused, blank, or all of it reasoning.",
            ("model", "mode"),
            registry=registry,
        )
        first_token = Histogram(
            "vestige_model_first_token_seconds",
            "From the request to the model until its first visible token.",
            ("model",),
            registry=registry,
            buckets=_SECONDS,
        )
        seconds = Histogram(
            "vestige_model_seconds",
            "From the request to the model until its last token.",
            ("model",),
            registry=registry,
            buckets=_SECONDS,
        )
        tokens = Counter(
            "vestige_model_tokens",
            "Tokens as providers count them; reasoning is in the completion, cached in the prompt.",
            ("tier", "model", "kind"),
            registry=registry,
        )
        cost = Counter(
            "vestige_model_cost_microdollars",
            "What attempts cost, where it was known at their end. The ledger knows the rest.",
            ("tier", "model"),
            registry=registry,
        )
        # the instrument of each set of labels is looked up once: a request has a dozen
        self._attempts, self._turns, self._refusals = (
            cache(attempts.labels),
            cache(turns.labels),
            cache(refusals.labels),
        )
        self._first_token, self._seconds = cache(first_token.labels), cache(seconds.labels)
        self._tokens, self._cost = cache(tokens.labels), cache(cost.labels)

    def turn(self, outcome: TurnOutcome) -> None:
        self._turns(outcome).inc()

    def attempt(self, entry: Entry) -> None:
        model, mode = entry.label, entry.mode or NO_MODE
        self._attempts(model, str(entry.rung), mode, entry.outcome).inc()
        if entry.refused:
            self._refusals(model, mode).inc()
        if entry.first is not None:
            self._first_token(model).observe(entry.first)
        if entry.outcome == "answered" and entry.total is not None:
            self._seconds(model).observe(entry.total)
        if entry.cost:
            self._cost(entry.tier, model).inc(entry.cost)
        if (usage := entry.usage) is not None:
            counts = {
                "prompt": usage.prompt_tokens,
                "completion": usage.completion_tokens,
                "cached": usage.cached_tokens,
                "reasoning": usage.reasoning_tokens,
            }
            for kind, count in counts.items():
                if count:
                    self._tokens(entry.tier, model, kind).inc(count)
