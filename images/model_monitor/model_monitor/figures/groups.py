"""Fairness: metrics by group of a protected attribute, compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from model_monitor import config
from model_monitor.counts.counts import Counts, Member
from model_monitor.figures.results import Fairness, FairnessMetric, Figure, Group
from model_monitor.statistics import fairness, intervals
from model_monitor.statistics.fairness import Cells
from model_monitor.statistics.intervals import Interval

RATIO = "demographic_parity_ratio"
PARITY = "demographic_parity_difference"
ODDS = "equalized_odds_difference"


def of_attribute(
    attribute: str, all_rows: Counts, due: Counts, end: str, settings: config.Fairness
) -> Fairness | None:
    """Return the results of one attribute; None if it is not in the log.

    Selection rates are those of `all_rows`; what needs labels is that of `due`.
    """
    selected = _selected(all_rows.members.get(attribute, Counter()))
    judged = _judged(due.members.get(attribute, Counter()))
    if not selected:
        return None
    least = settings.min_group
    of_ratio = fairness.demographic_parity_ratio(selected, least)
    of_parity = fairness.demographic_parity_difference(selected, least)
    of_odds = fairness.equalized_odds_difference(judged, least) if judged else None
    compared = sum(cells.n >= least for cells in selected.values())
    with_labels = sum(cells.n >= least for cells in judged.values())
    return Fairness(
        attribute=attribute,
        end=end,
        groups=tuple(
            _group(name, cells, judged.get(name, Cells()))
            for name, cells in sorted(selected.items())
        ),
        metrics=(
            _metric(RATIO, of_ratio, settings.ratio_floor, compared),
            _metric(PARITY, of_parity, settings.difference_limit, compared),
            _metric(ODDS, of_odds, settings.difference_limit, with_labels),
        ),
        min_group=least,
    )


def _metric(
    name: str, figure: Interval | None, limit: float, groups: int
) -> FairnessMetric:
    """Return the verdict on a metric of the groups with enough rows."""
    verdict: fairness.Verdict
    if groups < 2:
        verdict = "not enough data"
    elif name == RATIO:
        verdict = fairness.ratio_verdict(figure, 1, limit, 1)
    else:
        verdict = fairness.difference_verdict(figure, 1, limit, 1)
    return FairnessMetric(name, Figure.of(figure), limit, verdict)


def _group(name: str, selected: Cells, judged: Cells) -> Group:
    return Group(
        name=name,
        rows=selected.n,
        labelled=judged.n,
        selection=Figure.of(intervals.wilson(*selected.rate("selection"))),
        true_positive=Figure.of(intervals.wilson(*judged.rate("true positive"))),
        false_positive=Figure.of(intervals.wilson(*judged.rate("false positive"))),
        accuracy=Figure.of(intervals.wilson(*judged.rate("accuracy"))),
        positives=judged.tp + judged.fn,
        negatives=judged.fp + judged.tn,
    )


def _selected(members: Mapping[Member, int]) -> dict[str, Cells]:
    """Return groups by decision alone: selected rows as `fp`, the others as `tn`."""
    found: dict[str, Cells] = {}
    for (name, selected, _), n in members.items():
        cells = Cells(fp=n) if selected else Cells(tn=n)
        found[name] = found.get(name, Cells()) + cells
    return found


def _judged(members: Mapping[Member, int]) -> dict[str, Cells]:
    """Return groups by decision and label, of the rows with a label."""
    found: dict[str, Cells] = {}
    kinds = {(1, 1): "tp", (1, 0): "fp", (0, 1): "fn", (0, 0): "tn"}
    for (name, selected, label), n in members.items():
        if label is not None:
            cells = Cells(**{kinds[selected, label]: n})
            found[name] = found.get(name, Cells()) + cells
    return found
