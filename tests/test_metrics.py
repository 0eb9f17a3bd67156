"""What the server counts."""

import pytest

from server.metrics import Metrics


@pytest.mark.parametrize(
    ("count", "line"),
    [
        (lambda m: m.turn("complete"), 'vestige_turns_total{outcome="complete"} 1.0'),
        (lambda m: m.store_error("state"), 'vestige_store_errors_total{store="state"} 1.0'),
        (lambda m: m.refused_credential(), "vestige_refused_credentials_total 1.0"),
    ],
)
def test_each_count_has_its_line(count, line: str) -> None:
    metrics = Metrics()
    count(metrics)
    text, content_type = metrics.exposition()
    assert line in text.decode().splitlines()
    assert content_type.startswith("text/plain; version=0.0.4")
