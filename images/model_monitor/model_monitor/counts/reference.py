"""A model's training distributions, with which production is compared."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

UNIT_EDGES = tuple(round(number / 20, 2) for number in range(21))
"""Bins of a score between 0 and 1 where the reference has none."""


class UnreadableReferenceError(Exception):
    """A reference that cannot be used; the text says path, value, reason and fix."""


@dataclass(frozen=True)
class Variable:
    """One feature, or the score, with its bins: `edges` of numbers, or `categories`.

    `edges` has one value more than there are bins; a bin holds its lower edge, the
    last one both (as in numpy.histogram). `counts` are the reference's rows by bin.
    """

    name: str
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    missing: int = 0
    mean: float = math.nan
    deviation: float = math.nan

    @property
    def bins(self) -> int:
        return len(self.categories) or max(len(self.edges) - 1, 0)

    @property
    def is_categorical(self) -> bool:
        return bool(self.categories)


@dataclass(frozen=True)
class Reference:
    """The content of reference.json that is used, and the model's own metrics."""

    revision: str = ""
    rows: int = 0
    features: tuple[Variable, ...] = ()
    score: Variable = Variable("score", edges=UNIT_EDGES)
    decisions: Mapping[str, int] | None = None
    metrics: Mapping[str, float] | None = None

    def feature(self, name: str) -> Variable | None:
        return next((it for it in self.features if it.name == name), None)

    def bins_digest(self) -> str:
        """Digest of what decides the bins: counts with another one cannot be added."""
        variables = [*self.features, self.score]
        content = [(it.name, it.edges, it.categories) for it in variables]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def read_reference(path: Path) -> Reference:
    """Read `reference.json` and, beside it, the metrics of `model.yaml`.

    Raises UnreadableReferenceError.
    """
    try:
        raw = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UnreadableReferenceError(
            f"{path}: cannot be read as JSON ({error}); mount the model's folder, or "
            "correct `reference` of the model"
        ) from None
    try:
        return Reference(
            revision=str(raw.get("revision", "")),
            rows=int(raw["rows"]),
            features=tuple(
                _variable(path, name, entry)
                for name, entry in raw.get("features", {}).items()
            ),
            score=_score(path, raw.get("score")),
            decisions=_decisions(raw.get("decision")),
            metrics=_metrics(path.with_name("model.yaml"), raw.get("year")),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnreadableReferenceError(
            f"{path}: {type(error).__name__}: {error}; write it as "
            "models/employment/training/reference.py does"
        ) from None


def _decisions(raw: Mapping[str, Any] | None) -> dict[str, int] | None:
    return {str(k): int(n) for k, n in raw.items()} if raw else None


def _score(path: Path, raw: Mapping[str, Any] | None) -> Variable:
    if not raw or "histogram" not in raw:
        return Variable("score", edges=UNIT_EDGES)
    return _variable(path, "score", raw)


def _variable(path: Path, name: str, raw: Mapping[str, Any]) -> Variable:
    missing = int(raw.get("missing", 0))
    if "categories" in raw:
        categories = raw["categories"]
        names = tuple(str(key) for key in categories)
        counts = tuple(int(n) for n in categories.values())
        _check(path, name, names, counts, len(names))
        return Variable(name, categories=names, counts=counts, missing=missing)
    histogram = raw["histogram"]
    edges = tuple(float(edge) for edge in histogram["edges"])
    counts = tuple(int(n) for n in histogram["counts"])
    _check(path, name, edges, counts, len(edges) - 1)
    return Variable(
        name,
        edges=edges,
        counts=counts,
        missing=missing,
        mean=float(raw.get("mean", math.nan)),
        deviation=float(raw.get("deviation", math.nan)),
    )


def _check(
    path: Path, name: str, bins: Sequence[Any], counts: Sequence[int], number: int
) -> None:
    where = f"{path}: features.{name}"
    if number < 1 or len(counts) != number:
        raise UnreadableReferenceError(
            f"{where}: {len(counts)} counts for {max(number, 0)} bins; give one count "
            "for each bin"
        )
    if min(counts) < 0:
        raise UnreadableReferenceError(f"{where}: a count is negative; count rows")
    numbers = [it for it in bins if isinstance(it, float)]
    rising = all(a < b for a, b in pairwise(numbers))
    if not rising or not all(map(math.isfinite, numbers)):
        raise UnreadableReferenceError(
            f"{where}: edges do not rise; sort them and name each once"
        )


def _metrics(path: Path, year: object) -> dict[str, float]:
    """Return the metrics of model.yaml; of several periods, those of the reference.

    A model.yaml that is not there, or has none, gives no metrics.
    """
    if not path.is_file():
        return {}
    content = yaml.safe_load(path.read_text())
    raw = content.get("metrics") if isinstance(content, dict) else None
    if not isinstance(raw, dict) or not raw:
        return {}
    if all(isinstance(value, dict) for value in raw.values()):
        raw = raw.get(year, list(raw.values())[-1])
    return {
        str(key): float(value)
        for key, value in raw.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
