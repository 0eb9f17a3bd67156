"""What memory counts for `/metrics`. No label names a person or a conversation."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class MemoryMetrics:
    """The instruments, in the registry given or in one of their own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        registry = registry if registry is not None else CollectorRegistry()
        self.cache_failures = Counter(
            "vestige_memory_cache_failures", "Uses of the cache that failed and were done without it", registry=registry
        )
        self.windows_closed = Counter("vestige_memory_windows_closed", "Windows closed", registry=registry)
        self.windows_lost_races = Counter(
            "vestige_memory_window_races", "Windows written for nothing, because the text changed", registry=registry
        )
        self.derivations = Counter(
            "vestige_memory_derivations",
            "Summaries and facts asked of the model, by what came of it",
            ["what", "outcome"],
            registry=registry,
        )
        self.garbage_deleted = Counter(
            "vestige_memory_garbage_deleted", "Records deleted because no conversation holds them", registry=registry
        )
        self.upkeep_failures = Counter(
            "vestige_memory_upkeep_failures", "Upkeep runs that failed and will be repeated", registry=registry
        )
        self.recall_seconds = Histogram(
            "vestige_memory_recall_seconds", "Recall, with the query's embedding", buckets=_SECONDS, registry=registry
        )
        self.index_loads = Counter(
            "vestige_memory_index_loads", "Indexes of conversations by how they were had", ["how"], registry=registry
        )
        self.index_bytes = Gauge("vestige_memory_index_bytes", "Bytes of indexes held", registry=registry)
