"""Counters of the hot path and their Prometheus text.

Everything here is written by the event loop only, so a count is a plain addition and
an observation one bisection; a lock per count would cost more than the count.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from model_server.errors import SERVER_ERRORS

LATENCY_BUCKETS = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0),
)
ROWS_BUCKETS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)

Labels = dict[str, str]


class Histogram:
    """Counts of observations at most as large as each bound, and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def samples(self, name: str, labels: Labels) -> Iterator[tuple[str, Labels, float]]:
        seen = 0
        for bound, count in zip(self.bounds, self.counts, strict=False):
            seen += count
            yield f"{name}_bucket", {**labels, "le": f"{bound:g}"}, seen
        seen += self.counts[-1]
        yield f"{name}_bucket", {**labels, "le": "+Inf"}, seen
        yield f"{name}_sum", labels, self.total
        yield f"{name}_count", labels, seen


class ModelMetrics:
    """Counters of one model."""

    def __init__(self, labels: Labels, version: str) -> None:
        self.labels = labels
        self.version = version
        self.evaluator = ""
        """What computes the answers; empty of a model that is not served."""
        self.requests = 0
        # Series of server errors start at 0: rate() does not see a first sample's
        # value, so a burst between two scrapes would be missed.
        self.errors: dict[tuple[int, str], int] = dict.fromkeys(SERVER_ERRORS, 0)
        self.inflight = 0
        self.saturation = 0.0
        self.is_ready = False
        self.latency = Histogram(LATENCY_BUCKETS)
        self.queue_seconds = Histogram(LATENCY_BUCKETS)
        self.batch_rows = Histogram(ROWS_BUCKETS)

    def count_error(self, status: int, code: str) -> None:
        key = (status, code)
        self.errors[key] = self.errors.get(key, 0) + 1


Sample = tuple[str, Labels, float]


class Exposition:
    """Collects families and renders them in the text format 0.0.4."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def family(
        self, name: str, kind: str, meaning: str, samples: Iterable[Sample]
    ) -> None:
        self._lines += [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
        for sample, labels, value in samples:
            text = ",".join(f'{key}="{_escape(labels[key])}"' for key in labels)
            braces = f"{{{text}}}" if text else ""
            self._lines.append(f"{sample}{braces} {value!r}")

    def plain(self, name: str, kind: str, meaning: str, value: float) -> None:
        """Add a family of one sample without labels."""
        self.family(name, kind, meaning, [(name, {}, value)])

    def text(self) -> bytes:
        return ("\n".join(self._lines) + "\n").encode()


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def add_models(page: Exposition, models: list[ModelMetrics]) -> None:
    """Add the families of all models."""
    page.family(
        "model_requests_total",
        "counter",
        "Inference requests answered, refused ones too.",
        [("model_requests_total", m.labels, m.requests) for m in models],
    )
    page.family(
        "model_errors_total",
        "counter",
        "Inference requests answered with an error.",
        [
            (
                "model_errors_total",
                {**m.labels, "status": str(status), "code": code},
                count,
            )
            for m in models
            for (status, code), count in m.errors.items()
        ],
    )
    for name, meaning, attribute in (
        ("model_inflight", "Requests being worked on.", "inflight"),
        ("model_saturation", "Share of the capacity in use, 0 to 1.", "saturation"),
        ("model_ready", "Whether the model answers.", "is_ready"),
    ):
        page.family(
            name,
            "gauge",
            meaning,
            [(name, m.labels, float(getattr(m, attribute))) for m in models],
        )
    page.family(
        "model_info",
        "gauge",
        "The model's version.",
        [("model_info", {**m.labels, "version": m.version}, 1) for m in models],
    )
    page.family(
        "model_evaluator",
        "gauge",
        "What computes the answers: tree_masks or onnxruntime.",
        [
            ("model_evaluator", {**m.labels, "evaluator": m.evaluator}, 1)
            for m in models
            if m.evaluator
        ],
    )
    for name, meaning, attribute in (
        ("model_latency_seconds", "From arrival to answer.", "latency"),
        ("model_queue_seconds", "Wait for the model.", "queue_seconds"),
        ("model_batch_rows", "Rows of a model run.", "batch_rows"),
    ):
        page.family(
            name,
            "histogram",
            meaning,
            [
                sample
                for m in models
                for sample in getattr(m, attribute).samples(name, m.labels)
            ],
        )
