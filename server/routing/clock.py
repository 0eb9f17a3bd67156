"""The deadlines of a model call: the first visible token, silence, and the whole."""

import asyncio

from server.errors import ModelTimeout
from server.routing.failures import Target


class Clock:
    """Starts when it is made.

    Silence counts only while somebody waits, so a slow reader of the reply is never taken for a silent model.

    Args:
        silence: seconds to the first sign of work, and between any two.
        total: seconds for everything.
        first: seconds to the first visible token, whatever the model does meanwhile; None for no such bound.
    """

    def __init__(self, silence: float, total: float, first: float | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._silence = silence
        self._total = total
        self._first = first
        self.started = self.now()
        self._end = self.started + total
        self._quiet_end = self.started + silence
        self._first_end = None if first is None else self.started + first
        self._seen = False
        self._fresh = False

    def now(self) -> float:
        """The loop's time in seconds."""
        return self._loop.time()

    def alive(self) -> None:
        """The model gave a sign of work."""
        self._seen = self._fresh = True

    def spoke(self) -> None:
        """A visible token came."""
        self._first_end = None

    def wait(self) -> asyncio.Timeout:
        """Bounds one wait; raises TimeoutError at the nearest deadline."""
        if self._fresh:
            self._fresh = False
            self._quiet_end = self.now() + self._silence
        return asyncio.timeout_at(self._nearest())

    def late(self, target: Target) -> ModelTimeout:
        """The error for a wait that was too long."""
        nearest = self._nearest()
        if self._first_end is not None and self._first_end <= nearest:
            what, seconds = "did not begin to answer", self._first or 0.0
        elif self._end <= nearest:
            what, seconds = "did not finish", self._total
        else:
            what, seconds = "fell silent for" if self._seen else "did not begin to answer", self._silence
        seconds = round(seconds, 1) or seconds
        within = f"{seconds:g} s" if what.endswith("for") else f"within {seconds:g} s"
        return ModelTimeout(f"{target} {what} {within}. Try again in a moment.", model=target.model, seconds=seconds)

    def _nearest(self) -> float:
        nearest = min(self._end, self._quiet_end)
        return nearest if self._first_end is None else min(nearest, self._first_end)
