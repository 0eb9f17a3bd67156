"""What the ledger counts."""

from prometheus_client import CollectorRegistry, Counter


class LedgerMetrics:
    """Counters of the ledger; labels are names from the code."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.blocked = Counter(
            "vestige_budget_blocked",
            "Attempts that were not made: a ceiling left no room, or the ledger did not answer.",
            ("scope",),
            registry=registry,
        )
        self.settled = Counter(
            "vestige_ledger_settled",
            "Attempts settled, by what their cost goes by: told with the reply, asked of the provider, or the reserve.",
            ("basis",),
            registry=registry,
        )
        self.told = Counter(
            "vestige_budget_webhooks", "Webhook calls, by whether they were taken.", ("result",), registry=registry
        )
