"""What Prometheus learns of hosts. Labels are names of the settings and of the code."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from server.render.transport import Meter

__all__ = ["FleetMeters"]

_CALL_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_RENDER_SECONDS = (0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600)


class FleetMeters:
    """Counters, gauges and histograms; times are seconds."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._calls = Histogram(
            "vestige_host_call_seconds",
            "Calls to ComfyUI hosts, by what was asked and how it ended.",
            ("host", "call", "ending"),
            registry=registry,
            buckets=_CALL_SECONDS,
        )
        self._renders = Histogram(
            "vestige_host_render_seconds",
            "Renders that went well, by whether other models had to be loaded for them.",
            ("host", "cold"),
            registry=registry,
            buckets=_RENDER_SECONDS,
        )
        self._failures = Counter(
            "vestige_host_failures", "Renders that a host did not end well, by why.", ("host", "why"), registry=registry
        )
        self._usable = Gauge("vestige_host_usable", "1 where new work goes to the host.", ("host",), registry=registry)
        self._claims = Gauge("vestige_host_claims", "Places given out.", ("host",), registry=registry)

    def calls(self, host: str) -> Meter:
        def note(call: str, ending: str, seconds: float) -> None:
            self._calls.labels(host, call, ending).observe(seconds)

        return note

    def rendered(self, host: str, seconds: float, *, cold: bool) -> None:
        self._renders.labels(host, str(cold).lower()).observe(seconds)

    def failed(self, host: str, why: str) -> None:
        self._failures.labels(host, why).inc()

    def state(self, host: str, *, usable: bool, claims: int) -> None:
        self._usable.labels(host).set(usable)
        self._claims.labels(host).set(claims)
