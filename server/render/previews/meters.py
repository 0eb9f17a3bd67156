"""What is counted of previews and jobs, for `/metrics` of the server."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge

from server.render.jobs.types import JobState, Line

__all__ = ["PreviewMeters"]


class PreviewMeters:
    """Labels are names from the code. Workers have no `/metrics`: what they did is told by the state Redis."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._asked = Counter(
            "vestige_previews_asked",
            "Asks for a picture: hit (it was there), made, joined, raised (before those made ahead), declined.",
            ("outcome",),
            registry=registry,
        )
        self._jobs = Gauge("vestige_render_jobs", "Jobs by state and line.", ("state", "line"), registry=registry)
        self._oldest = Gauge(
            "vestige_render_oldest_wait_seconds", "How long the first in line waits.", ("line",), registry=registry
        )
        self._ended = Gauge(
            "vestige_render_jobs_ended", "Jobs that ended, ever, by how.", ("state", "line"), registry=registry
        )
        self._seconds = Gauge(
            "vestige_render_seconds_total", "Seconds that hosts rendered for jobs that went well.", registry=registry
        )
        self._workers = Gauge("vestige_render_workers", "Workers that live.", registry=registry)

    def asked(self, outcome: str) -> None:
        self._asked.labels(outcome).inc()

    def show(
        self,
        jobs: Mapping[tuple[Line, JobState], int],
        oldest: Mapping[str, float],
        totals: Mapping[str, str],
        workers: int,
    ) -> None:
        """How things stand. `jobs` by line and state; `totals` as Redis has them: `line|state` → number, `seconds`."""
        for (line, state), number in jobs.items():
            self._jobs.labels(state, line).set(number)
        for line, seconds in oldest.items():
            self._oldest.labels(line).set(seconds)
        for name, total in totals.items():
            ended_in, _, how = name.partition("|")
            if how:
                self._ended.labels(how, ended_in).set(float(total))
        self._seconds.set(float(totals.get("seconds", "0")))
        self._workers.set(workers)
