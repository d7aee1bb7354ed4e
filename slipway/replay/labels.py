"""The accuracy of both revisions on the same rows, once labels are known.

A file of labels has the fields of contracts/label.yaml, as JSON lines (`.jsonl`,
`.jsonl.gz`) or CSV. As in the model monitor, the label with the latest `label_time`
counts, and of equal ones the last in the file; null withdraws a label.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from slipway.optimize.statistics import Interval, paired_change
from slipway.replay.pairs import Pair
from toolchain.errors import WrongInputError

REQUIRED = ("id", "label", "label_time")
"""Fields that decide here; the contract requires `source` too."""
Labels = Mapping[tuple[str, int], str]
"""Labels as text by prediction id and row."""


class LabelsError(WrongInputError):
    """The file does not have labels of the contract."""


@dataclass(frozen=True)
class Accuracy:
    """Both revisions' decisions against the labels of the same rows."""

    rows: int
    """Pairs with a label and two decisions."""
    of: int
    """Pairs with two decisions."""
    stable: float
    canary: float
    gained: int
    """Rows on which only the canary is right."""
    lost: int
    """Rows on which only the stable revision is right."""
    change: Interval
    """Accuracy of the canary less the stable revision's, with a 95 % interval."""


def read(path: Path) -> Labels:
    """Return the labels that hold; raise LabelsError with the file and line."""
    latest: dict[tuple[str, int], tuple[datetime, str | None]] = {}
    try:
        for place, record in _records(path):
            key, moment, label = _label(f"{path}:{place}", record)
            if key not in latest or moment >= latest[key][0]:
                latest[key] = moment, label
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise LabelsError(f"{path}: cannot be read ({error})") from None
    return {key: label for key, (_, label) in latest.items() if label is not None}


def compare(pairs: Iterable[Pair], labels: Labels) -> Accuracy | None:
    """Return the accuracies on labelled pairs; None if no pair has a label."""
    of = rows = right = gained = lost = 0
    for pair in pairs:
        if pair.stable.decision is None or pair.canary.decision is None:
            continue
        of += 1
        label = labels.get((pair.id, pair.row))
        if label is None:
            continue
        rows += 1
        stable, canary = (
            text(it.decision) == label for it in (pair.stable, pair.canary)
        )
        right += stable
        gained += canary and not stable
        lost += stable and not canary
    if not rows:
        return None
    change = paired_change(gained, lost, rows)
    after = right + gained - lost
    return Accuracy(rows, of, right / rows, after / rows, gained, lost, change)


def text(value: Any) -> str:
    """Return a scalar as the model monitor compares it: 1, 1.0 and "1" are equal."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number of each line and its fields."""
    if path.suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from _csv(path, file)
        return
    open_it = gzip.open if path.suffix == ".gz" else open
    with open_it(path, "rt", encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                found = json.loads(line)
            except ValueError as error:
                raise LabelsError(f"{path}:{number}: not JSON ({error})") from None
            if not isinstance(found, dict):
                raise LabelsError(f"{path}:{number}: not a JSON object")
            yield number, found


def _csv(path: Path, file: TextIO) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(file, strict=True)
    for record in reader:
        if None in record or None in record.values():
            raise LabelsError(
                f"{path}:{reader.line_num}: it does not have the columns of the header"
            )
        # Empty fields are absent, as in the model monitor.
        given = {key: value for key, value in record.items() if value}
        if "label" in given:
            given["label"] = _from_csv(given["label"])
        yield reader.line_num, given


def _from_csv(value: str) -> Any:
    """Return numbers, true, false and null of JSON as such, and all else as text."""
    try:
        found = json.loads(value)
    except ValueError:
        return value
    return value if isinstance(found, str | list | dict) else found


def _label(
    place: str, record: Mapping[str, Any]
) -> tuple[tuple[str, int], datetime, str | None]:
    if missing := [name for name in REQUIRED if name not in record]:
        raise LabelsError(
            f"{place}: without {', '.join(missing)}; give the fields of "
            "contracts/label.yaml: id, row, label, label_time, source"
        )
    try:
        row = int(record.get("row", 0))
    except (TypeError, ValueError):
        raise LabelsError(
            f"{place}: row: {record['row']!r} is not a whole number"
        ) from None
    try:
        moment = datetime.fromisoformat(record["label_time"])
    except (TypeError, ValueError):
        moment = None
    if moment is None or moment.tzinfo is None:
        raise LabelsError(
            f"{place}: label_time: {record['label_time']!r} is not a time with its "
            "zone; give one such as 2026-11-29T12:00:00Z"
        )
    label = record["label"]
    return (str(record["id"]), row), moment, None if label is None else text(label)
