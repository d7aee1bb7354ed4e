"""Dashboard of fairness: groups of protected attributes compared, with intervals."""

from __future__ import annotations

from collections.abc import Iterator

from components.observability.dashboards.board import (
    SLOW,
    Board,
    Panel,
    Row,
    Variable,
    interval,
    one,
)
from components.observability.dashboards.limits import NEWEST, Served

FEW = "no attribute has two groups with enough rows"
ALERT = "ModelFairnessOutsideLimits"


def board(of: Served) -> Board:
    """The dashboard of one stack's models whose groups are compared."""
    series = f'{NEWEST}{{namespace="{of.namespace}"}}'
    compared = f"model_fairness{{{of.of_model}}}"
    return Board(
        f"{of.namespace}-fairness",
        f"Fairness ({of.namespace})",
        "Whether a model treats the groups of protected attributes alike.",
        (
            Variable("model", "Model", series, "model"),
            Variable("attribute", "Attribute", compared, "attribute", several=True),
            Variable("revision", "Revision", compared, "revision", several=True),
        ),
        (Row("Groups compared, over 30 days", tuple(_panels(of))),),
    )


def _panels(of: Served) -> Iterator[Panel]:
    chosen = f'{of.of_model},attribute=~"$attribute",revision=~"$revision"'
    legend = "{{attribute}} {{revision}}"
    each = "{{metric}} of {{attribute}} {{revision}}"
    yield Panel(
        "Ratio of selection rates",
        "Lowest group's selection rate over the highest, with its 95 % interval; the "
        "alert needs the whole interval below the limit.",
        "none",
        interval("model_fairness", f'{chosen},metric=~".+_ratio"', legend),
        width=12,
        limit=of.model_limit(ALERT, lambda it: it.fairness_ratio, below=True),
        empty=FEW,
    )
    yield Panel(
        "Differences of rates",
        "Highest group's rate less the lowest's, with its 95 % interval; the alert "
        "needs the whole interval beyond the limit.",
        "percentunit",
        interval("model_fairness", f'{chosen},metric=~".+_difference"', each),
        width=12,
        limit=of.model_limit(ALERT, lambda it: it.fairness_difference),
        empty=FEW,
    )
    yield Panel(
        "Outside the limits",
        "1: the whole interval is outside; absent while there are too few rows.",
        "bool_yes_no",
        one(f"model_fairness_outside_limits{{{chosen}}}", each),
        kind="states",
        width=24,
        empty=FEW,
    )
    yield Panel(
        "Rows with protected attributes",
        "Records with protected attributes that the monitor stores a second.",
        "short",
        one(
            "sum(rate(monitor_protected_records_total"
            f'{{namespace="{of.namespace}"}}[{SLOW}]))',
            "records",
        ),
        width=12,
    )
    yield Panel(
        "Labelled predictions",
        "Predictions of 30 days with a label, which error rates of groups need.",
        "short",
        one(
            f'model_labelled_predictions{{{of.of_model},window="30d",'
            'revision=~"$revision"}',
            "{{revision}}",
        ),
        width=12,
        empty="no label of a judged day yet",
    )
