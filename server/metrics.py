"""What the server counts, in a registry of its own so that two servers in one process do not mix."""

from functools import cache
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

_REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180)

TurnOutcome = Literal["complete", "interrupted", "failed", "replayed", "refused", "declined"]


class Metrics:
    """Counters and histograms; times are seconds. Labels are names from the code, never what a client sent."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._registry = registry
        requests = Counter(
            "vestige_http_requests",
            "HTTP requests by route and status.",
            ("method", "route", "status"),
            registry=registry,
        )
        seconds = Histogram(
            "vestige_http_request_seconds",
            "Time to the end of the response, streams included.",
            ("method", "route"),
            registry=registry,
            buckets=_REQUEST_SECONDS,
        )
        self._requests, self._request_seconds = cache(requests.labels), cache(seconds.labels)
        self._turns = Counter("vestige_turns", "Chat turns by how they ended.", ("outcome",), registry=registry)
        self._store_errors = Counter(
            "vestige_store_errors", "Requests refused because a store did not answer.", ("store",), registry=registry
        )
        self._refused = Counter(
            "vestige_refused_credentials", "Credentials that were wrong, used up or expired.", registry=registry
        )

    @property
    def registry(self) -> CollectorRegistry:
        """For parts that count with instruments of their own."""
        return self._registry

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """One HTTP request, by its route's template."""
        self._requests(method, route, str(status)).inc()
        self._request_seconds(method, route).observe(seconds)

    def turn(self, outcome: TurnOutcome) -> None:
        self._turns.labels(outcome).inc()

    def store_error(self, store: str) -> None:
        self._store_errors.labels(store).inc()

    def refused_credential(self) -> None:
        self._refused.inc()

    def exposition(self) -> tuple[bytes, str]:
        """`(body, content type)` in Prometheus' text format."""
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4
