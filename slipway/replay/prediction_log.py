"""Records of a prediction log (contracts/prediction_record.yaml) by request."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from slipway.replay.pairs import Answer, Pair
from toolchain.errors import OperatorError

SHADOW = "shadow"
"""Arm of copied requests."""
FINISHED = (".jsonl", ".jsonl.gz")

Record = dict[str, Any]


class LogError(OperatorError):
    """The file is not a prediction log."""


@dataclass
class Reading:
    """The records of one model, and how many were left out, by reason."""

    path: Path
    model: str
    left_out: Counter[str] = field(default_factory=Counter)

    def records(self) -> Iterator[Record]:
        """Answered rows of the model, file by file; LogError if there is no file."""
        for file in files(self.path):
            for line in _lines(file):
                if record := self._record(line):
                    yield record

    def requests(self, revision: str = "") -> Iterator[list[Record]]:
        """The rows of one request each, without copies.

        Left out are also requests that `revision` answered itself: asked again, it
        would be compared with itself. A server writes the rows of a request one after
        the other.
        """
        for (_, arm, by), rows in groupby(self.records(), _request):
            if arm == SHADOW:
                self.left_out["copied requests"] += 1
            elif by == revision:
                self.left_out["requests that the revision answered itself"] += 1
            else:
                yield list(rows)

    def copied(self, revision: str) -> Iterator[Pair]:
        """Pairs of a request's answer and the answer of its copy to that revision.

        The log is read twice, so that only the copies are kept in memory.
        """
        copies: dict[tuple[str, int], Answer] = {}
        for record in self.records():
            if record["arm"] == SHADOW and record["revision"] == revision:
                copies.setdefault((record["id"], record["row"]), answer(record))
        for record in Reading(self.path, self.model).records():
            key = record["id"], record["row"]
            if record["arm"] != SHADOW and key in copies:
                yield pair(record, copies.pop(key))
        if copies:
            self.left_out["copies without their original"] += len(copies)

    def _record(self, line: str) -> Record | None:
        try:
            found = json.loads(line)
            named = {it: found[it] for it in ("id", "row", "model", "revision", "arm")}
        except (KeyError, TypeError, ValueError):
            self.left_out["lines that are not records"] += 1
            return None
        if named["model"] != self.model:
            self.left_out["records of other models"] += 1
        elif "code" in found:
            self.left_out["requests without an answer"] += 1
        else:
            record: Record = found
            return record
        return None


def _request(record: Record) -> tuple[str, str, str]:
    """Return the common part of all rows of a request."""
    return record["id"], record["arm"], record["revision"]


def answer(record: Record) -> Answer:
    """Return a record's result for its row."""
    latency = float(record.get("latency_seconds") or 0.0)
    return Answer(record.get("decision"), record.get("score"), latency)


def pair(record: Record, canary: Answer) -> Pair:
    """Return the pair of a record and the new revision's answer for the same row."""
    return Pair(answer(record), canary, record["id"], record["row"])


def files(path: Path) -> Sequence[Path]:
    """The log's finished files, oldest name first; LogError if there is none."""
    if path.is_file():
        return [path]
    found = sorted(
        it
        for it in path.glob("predictions-*")
        if it.name.endswith(FINISHED) and it.is_file()
    )
    if not found:
        raise LogError(
            f"{path}: there is no finished file of a prediction log "
            "(predictions-*.jsonl or .jsonl.gz): give such a file or its folder"
        )
    return found


def _lines(file: Path) -> Iterator[str]:
    try:
        open_it = gzip.open if file.name.endswith(".gz") else open
        with open_it(file, "rt") as text:
            yield from text
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise LogError(f"{file}: cannot be read ({error}); remove it") from error
