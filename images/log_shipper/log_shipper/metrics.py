"""The shipper's metrics.

contracts/log_shipper_metrics.yaml lists the same names and label values.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from log_shipper.sink import Refusal, Retry

PREFIX = "log_shipper_"
SENT = "sent"
RESULTS = (SENT, *(refusal.value for refusal in Refusal))


class MetricsCollector(Collector):
    """Counted by the shipper's thread alone, collected by the scrapes'."""

    def __init__(self) -> None:
        # A series that starts at 0 shows its first event to rate().
        self.files = Counter(dict.fromkeys(RESULTS, 0))
        self.retries = Counter({retry.value: 0 for retry in Retry})
        self.bytes = 0
        self.lost_files = 0
        self.waiting_files = 0
        self.oldest_modified = 0.0
        """Unix time of the oldest file that waits; 0: none waits."""
        self.last_success = 0.0
        """Unix time; 0: nothing was sent yet."""

    def collect(self) -> Iterator[Metric]:
        oldest = self.oldest_modified
        yield _labelled(
            "files",
            "Files that were sent, or set aside because the sink refused them.",
            "result",
            self.files,
        )
        yield CounterMetricFamily(
            f"{PREFIX}bytes", "Compressed bytes of the files sent.", self.bytes
        )
        yield GaugeMetricFamily(
            f"{PREFIX}waiting_files",
            "Finished files that wait to be sent.",
            self.waiting_files,
        )
        yield GaugeMetricFamily(
            f"{PREFIX}oldest_waiting_seconds",
            "Age of the oldest waiting file.",
            max(time.time() - oldest, 0.0) if oldest else 0.0,
        )
        yield GaugeMetricFamily(
            f"{PREFIX}last_success_timestamp_seconds",
            "When a file was last sent; 0 before the first.",
            self.last_success,
        )
        yield CounterMetricFamily(
            f"{PREFIX}lost_files",
            "Files deleted before they were sent, or from those set aside.",
            self.lost_files,
        )
        yield _labelled(
            "retries", "Attempts that will be repeated.", "reason", self.retries
        )


def _labelled(
    name: str, meaning: str, label: str, counts: Counter[str]
) -> CounterMetricFamily:
    family = CounterMetricFamily(f"{PREFIX}{name}", meaning, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family
