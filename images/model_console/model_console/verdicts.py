"""One word for a model or a check, and how much it should alarm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from model_console.figures import (
    Attributions,
    FeatureDrift,
    ModelSummary,
    RevisionSummary,
    Window,
)

BAD, WARN, OK, NONE = "bad", "warn", "ok", "none"
BELOW, WITHIN = "below baseline", "within"
_KINDS = {
    BELOW: BAD,
    WITHIN: OK,
    "coverage too low": WARN,
    "outside limits": WARN,
    "within limits": OK,
}


@dataclass(frozen=True)
class Verdict:
    """`kind` is bad, warn, ok or none: it decides the colour and the sign."""

    kind: str
    words: str


def of(words: str) -> Verdict:
    """Return a verdict of the monitor, in its own words."""
    return Verdict(_KINDS.get(words, NONE), words)


def of_windows(windows: Mapping[str, Window]) -> Verdict:
    """Return the worst judgement of all windows."""
    found = [it.verdict for window in windows.values() for it in window.judgements]
    if not found:
        return Verdict(NONE, "not judged")
    return min(map(of, found), key=lambda it: _order(it.kind))


def of_model(model: ModelSummary) -> list[Verdict]:
    """Return all that is wrong with a model, the worst first, or that nothing is."""
    results = model.results
    if results is None:
        return [Verdict(NONE, "no results yet")]
    found = []
    if results.problems or results.reference_is_missing:
        found.append(Verdict(BAD, "the monitor has problems"))
    if not results.revisions:
        found.append(Verdict(NONE, "no predictions"))
    else:
        found += _of_revision(results.revisions[0])
    if results.is_stale:
        found.append(Verdict(WARN, "log is stale"))
    if results.review_is_overdue:
        found.append(Verdict(WARN, "review is overdue"))
    return sorted(found, key=lambda it: _order(it.kind))


def _of_revision(revision: RevisionSummary) -> Iterator[Verdict]:
    yield of_windows(revision.windows)
    if not revision.is_approved:
        yield Verdict(BAD, "revision not approved")
    if revision.concept_drifted:
        yield Verdict(BAD, "concept drift")
    if revision.predictions_drifted:
        yield Verdict(WARN, "predictions drift")
    if revision.fairness_outside:
        yield Verdict(WARN, "fairness outside limits")


def of_drift(it: FeatureDrift) -> Verdict:
    if it.persistent:
        return Verdict(WARN, "drift")
    if it.detected:
        return Verdict(NONE, "on this day alone")
    return Verdict(OK if it.effect is not None else NONE, it.reason or "none")


def of_attributions(it: Attributions) -> Verdict:
    """Return whether the order of the features is that of the first days."""
    if not it.reference_days:
        return Verdict(NONE, "too few days to compare")
    if it.persistent:
        return Verdict(WARN, "the order has changed")
    if it.detected:
        return Verdict(NONE, "another order on this day alone")
    return Verdict(OK, "the order of the first days")


def of_drifted(names: Iterable[str], day: str | None) -> Verdict:
    """Return the drift of a model's features in a line."""
    found = list(names)
    if day is None:
        return Verdict(NONE, "not judged")
    if not found:
        return Verdict(OK, "none")
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return Verdict(WARN, ", ".join(found[:3]) + more)


def _order(kind: str) -> int:
    return (BAD, WARN, NONE, OK).index(kind)
