"""The two deadlines of a model call: silence, and the whole."""

import asyncio

from server.errors import ModelTimeout
from server.routing.failures import Target


class Clock:
    """Starts when it is made.

    Silence counts only while somebody waits, so a slow reader of the reply is never taken for a silent model.

    Args:
        silence: seconds to the first sign of work, and between any two.
        total: seconds for everything.
    """

    def __init__(self, silence: float, total: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._silence = silence
        self._total = total
        self._end = self.now() + total
        self._quiet_end = self.now() + silence
        self._seen = False
        self._fresh = False

    def now(self) -> float:
        """The loop's time in seconds."""
        return self._loop.time()

    def alive(self) -> None:
        """The model gave a sign of work."""
        self._seen = self._fresh = True

    def wait(self) -> asyncio.Timeout:
        """Bounds one wait; raises TimeoutError at the nearer deadline."""
        if self._fresh:
            self._fresh = False
            self._quiet_end = self.now() + self._silence
        return asyncio.timeout_at(min(self._end, self._quiet_end))

    def late(self, target: Target) -> ModelTimeout:
        """The error for a wait that was too long."""
        if self._end <= self._quiet_end:
            what, seconds = "did not finish", self._total
        else:
            what, seconds = "fell silent for" if self._seen else "did not begin to answer", self._silence
        within = f"{seconds:g} s" if what.endswith("for") else f"within {seconds:g} s"
        return ModelTimeout(f"{target} {what} {within}. Try again in a moment.", model=target.model, seconds=seconds)
