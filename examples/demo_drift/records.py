"""Records of the prediction log (contracts/prediction_record.yaml) and labels as text.

They are what the model server writes of the same requests, but for the time, which is
simulated, and the latency, which is the one that the caller saw
(tests/monitor/test_demo_records.py compares both).
"""

from __future__ import annotations

import datetime as dt
import gzip
import json
from collections.abc import Iterable, Sequence
from typing import Any

from examples.demo_drift.census import MODEL, Card
from examples.demo_drift.served import Answer
from examples.demo_drift.timeline import Label

ARM = "stable"
SOURCE = "census"
COMPRESSION = 1
"""Of the shipped files: quick."""


def predictions(answers: Sequence[Answer], card: Card) -> bytes:
    """Return the lines of all rows of some answers."""
    kept = [(name, card.column(name)) for name in card.keep]

    def records() -> Iterable[dict[str, Any]]:
        for answer in answers:
            common = _common(answer)
            rows = answer.batch.rows.features.tolist()
            decided, scored = answer.decisions.tolist(), answer.scores.tolist()
            for row, values in enumerate(rows):
                yield {
                    "id": answer.batch.request_id,
                    "row": row,
                    "time": common["time"],
                    "model": MODEL,
                    "version": answer.version,
                    "revision": answer.revision,
                    "arm": ARM,
                    "status": 200,
                    "latency_seconds": common["latency_seconds"],
                    "features": {name: values[column] for name, column in kept},
                    "decision": decided[row],
                    "score": scored[row],
                }

    return _lines(records())


def protected(answers: Sequence[Answer], card: Card) -> bytes:
    """Return the lines of the protected attributes of all rows of some answers."""
    kept = [(name, card.column(name)) for name in card.protected]

    def records() -> Iterable[dict[str, Any]]:
        for answer in answers:
            moment = _time(answer.batch.time)
            for row, values in enumerate(answer.batch.rows.features.tolist()):
                yield {
                    "id": answer.batch.request_id,
                    "row": row,
                    "time": moment,
                    "model": MODEL,
                    "revision": answer.revision,
                    "attributes": {name: values[column] for name, column in kept},
                }

    return _lines(records())


def labels(given: Iterable[Label]) -> bytes:
    """Return labels as lines (contracts/label.yaml), in the order that they have."""
    return _lines(
        {
            "id": it.request_id,
            "row": it.row,
            "label": str(it.label),
            "label_time": _time(it.known),
            "source": SOURCE,
            "prediction_time": _time(it.predicted),
        }
        for it in given
    )


def compressed(lines: bytes) -> bytes:
    """Return lines as a shipped file; the same lines give the same bytes."""
    return gzip.compress(lines, COMPRESSION, mtime=0)


def _common(answer: Answer) -> dict[str, Any]:
    return {
        "time": _time(answer.batch.time),
        "latency_seconds": round(answer.latency_seconds, 6),
    }


def _time(moment: dt.datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"


def _lines(records: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(
        json.dumps(it, separators=(",", ":")).encode() + b"\n" for it in records
    )
