"""The account of one model call: its times, its tokens and how it ended, for the log and the metrics."""

from typing import Protocol

import structlog

from server.errors import ModelError
from server.routing.clock import Clock
from server.routing.types import Finished


class ModelMetrics(Protocol):
    """Where calls are counted; `server.metrics.Metrics` is one. Times are seconds."""

    def first_token(self, model: str, seconds: float) -> None: ...
    def model_done(self, model: str, seconds: float) -> None: ...
    def model_error(self, code: str) -> None: ...


class Call:
    """Fills up while a call runs; `report` writes it out once, however the call ended."""

    def __init__(self, purpose: str, model: str, clock: Clock) -> None:
        self.model = model
        self._purpose = purpose
        self._clock = clock
        self._started = clock.now()
        self._first: float | None = None
        self._ended: float | None = None
        self._finished: Finished | None = None
        self._error: ModelError | None = None

    def token(self) -> None:
        """A visible token came."""
        if self._first is None:
            self._first = self._clock.now() - self._started

    def done(self, finished: Finished) -> None:
        self._finished = finished
        self._ended = self._clock.now() - self._started

    def failed(self, error: ModelError) -> ModelError:
        """Notes how it failed, and says in the error whether a part of the reply came before."""
        self._error = type(error)(error.message, **error.details, partial=self._first is not None)
        return self._error

    def report(self, metrics: ModelMetrics | None) -> None:
        """Neither the prompt nor the reply is in it."""
        outcome = self._error.code if self._error else "done" if self._finished else "aborted"
        usage = self._finished.usage if self._finished else None
        structlog.get_logger("vestige.model").info(
            "model call",
            model=self.model,
            purpose=self._purpose,
            outcome=outcome,
            reason=self._finished.reason if self._finished else None,
            upstream_status=self._error.details.get("upstream_status") if self._error else None,
            first_token_ms=None if self._first is None else round(self._first * 1000),
            total_ms=None if self._ended is None else round(self._ended * 1000),
            prompt_tokens=usage.prompt_tokens if usage else None,
            completion_tokens=usage.completion_tokens if usage else None,
            cached_tokens=usage.cached_tokens if usage else None,
            cost_microdollars=usage.cost if usage else None,
        )
        if metrics is None:
            return
        if self._first is not None:
            metrics.first_token(self.model, self._first)
        if self._ended is not None:
            metrics.model_done(self.model, self._ended)
        if self._error is not None:
            metrics.model_error(self._error.code)
