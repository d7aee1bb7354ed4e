"""Reference and current rows by bin, of what drift was judged on."""

from __future__ import annotations

from dataclasses import replace

from model_monitor.counts.counts import Binned, Counts
from model_monitor.counts.reference import Reference, Variable
from model_monitor.figures.drift import DECISION
from model_monitor.figures.results import Drift, FeatureDrift, Histogram


def added(found: Drift, counts: Counts, reference: Reference) -> Drift:
    """Return the drift with histograms; `counts` are those of its day."""
    return replace(
        found,
        features=tuple(_of_feature(it, counts, reference) for it in found.features),
        predictions=tuple(
            _of_prediction(it, counts, reference) for it in found.predictions
        ),
    )


def _of_feature(
    verdict: FeatureDrift, counts: Counts, reference: Reference
) -> FeatureDrift:
    variable = reference.feature(verdict.feature)
    binned = counts.features.get(verdict.feature)
    if variable is None or binned is None:
        return verdict
    return replace(verdict, histogram=of_variable(variable, binned))


def _of_prediction(
    verdict: FeatureDrift, counts: Counts, reference: Reference
) -> FeatureDrift:
    if verdict.feature == DECISION:
        return replace(verdict, histogram=of_decisions(counts, reference))
    if counts.score is None:
        return verdict
    return replace(verdict, histogram=of_variable(reference.score, counts.score))


def of_variable(variable: Variable, binned: Binned) -> Histogram:
    """Return the rows of a feature, or of the score, by the bins of the reference."""
    return Histogram(
        edges=variable.edges,
        categories=variable.categories,
        reference=variable.counts,
        current=tuple(binned.bins),
        reference_missing=variable.missing,
        missing=binned.missing,
        below=binned.below,
        above=binned.above,
        unseen=binned.unseen,
    )


def of_decisions(counts: Counts, reference: Reference) -> Histogram:
    known = reference.decisions or {}
    return Histogram(
        edges=(),
        categories=tuple(known),
        reference=tuple(known.values()),
        current=tuple(counts.decisions[name] for name in known),
        unseen=sum(n for name, n in counts.decisions.items() if name not in known),
    )
