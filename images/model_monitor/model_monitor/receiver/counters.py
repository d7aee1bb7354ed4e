"""Counters of what comes in, on the registry that the monitor exports."""

from __future__ import annotations

from collections.abc import Collection

from prometheus_client import CollectorRegistry, Counter, Gauge

from model_monitor.buckets.log import Fetched
from model_monitor.labels.importing import LabelImport
from model_monitor.labels.joining import JoinResult
from model_monitor.store.checks import FIXES
from model_monitor.store.ingest import IngestResult
from model_monitor.store.quarantine import FILE_FIXES

UNKNOWN = "unknown"
"""Label value of all unexpected models, whose names the senders choose."""
FILE_RESULTS = (
    *("received", "repeated", "conflict", "refused"),
    *("ingested", "quarantined", "failed", "fetched"),
)
LABEL_RESULTS = ("accepted", "repeated", "refused", "joined", "early", "given_up")
REASONS = tuple(sorted({*FIXES, *FILE_FIXES}))
"""Reasons of bad lines and of bad files."""


class Counters:
    """Counts files, records and labels.

    known_models: models that have series of their own; without it, every model has one.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        known_models: Collection[str] | None = None,
    ) -> None:
        self._known = known_models
        self.files = Counter(
            "monitor_files_total",
            "Log files: received, repeated, conflict or refused by the receiver; "
            "fetched from a bucket, or refused there; ingested, repeated, "
            "quarantined, failed or refused by the store.",
            ["result"],
            registry=registry,
        )
        self.bucket_failures = Gauge(
            "monitor_bucket_failures",
            "Consecutive failed reads of the buckets; 0 after a success.",
            registry=registry,
        )
        self.bytes = Counter(
            "monitor_received_bytes_total",
            "Bytes of log files received, as sent (compressed).",
            registry=registry,
        )
        self.records = Counter(
            "monitor_records_total",
            "Predictions stored, by model.",
            ["model"],
            registry=registry,
        )
        self.protected = Counter(
            "monitor_protected_records_total",
            "Records with protected attributes stored.",
            registry=registry,
        )
        self.quarantined = Counter(
            "monitor_quarantined_total",
            "Lines and whole files that could not be read, by reason.",
            ["reason"],
            registry=registry,
        )
        self.labels = Counter(
            "monitor_labels_total",
            "Labels: accepted, repeated or refused when they come; joined, early or "
            "given_up later.",
            ["result"],
            registry=registry,
        )
        self.pending = Gauge(
            "monitor_pending_labels",
            "Labels that wait for their prediction.",
            registry=registry,
        )
        self.ingest_seconds = Counter(
            "monitor_ingest_seconds_total",
            "Time that reading landed files took.",
            registry=registry,
        )
        # From the start, because increase() ignores a series' first value.
        for counter, values in (
            (self.files, FILE_RESULTS),
            (self.quarantined, REASONS),
            (self.labels, LABEL_RESULTS),
        ):
            for value in values:
                counter.labels(value)

    def fetched(self, result: Fetched, failures: int) -> None:
        """failures: in a row, this time included."""
        self.files.labels("fetched").inc(result.files)
        self.files.labels("refused").inc(result.refused)
        self.bucket_failures.set(failures)

    def ingested(self, result: IngestResult) -> None:
        for what, count in result.files.items():
            self.files.labels(what).inc(count)
        for model, count in result.records.items():
            known = self._known is None or model in self._known
            self.records.labels(model if known else UNKNOWN).inc(count)
        for reason, count in result.quarantined.items():
            self.quarantined.labels(reason).inc(count)
        self.protected.inc(result.protected)
        self.ingest_seconds.inc(result.seconds)

    def imported(self, result: LabelImport) -> None:
        accepted = "repeated" if result.is_repeated else "accepted"
        self.labels.labels(accepted).inc(result.accepted)
        self.labels.labels("refused").inc(result.refused.total())
        for reason, count in result.refused.items():
            self.quarantined.labels(reason).inc(count)

    def joined(self, result: JoinResult) -> None:
        for what in ("joined", "early", "given_up"):
            self.labels.labels(what).inc(getattr(result, what))
        self.pending.set(result.pending)
