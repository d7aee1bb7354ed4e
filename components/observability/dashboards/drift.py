"""Dashboard of drift: inputs, predictions, the relation between inputs and labels."""

from __future__ import annotations

from collections.abc import Iterator

from components.observability.dashboards.board import (
    SLOW,
    Board,
    Limit,
    Panel,
    Query,
    Row,
    Variable,
    one,
)
from components.observability.dashboards.limits import NEWEST, Served

NO_DAY = "no whole day of records yet"
NOT_ATTRIBUTED = "the model is not attributed, or has too few days"
SHOWN = 15
"""Features in a graph, those with the largest effects."""


def board(of: Served) -> Board:
    """The dashboard of one stack's watched models."""
    series = f'{NEWEST}{{namespace="{of.namespace}"}}'
    effects = f"model_drift_effect{{{of.of_model}}}"
    return Board(
        f"{of.namespace}-drift",
        f"Drift ({of.namespace})",
        "Whether inputs, predictions and errors of a model are still what they were.",
        (
            Variable("model", "Model", series, "model"),
            Variable("revision", "Revision", effects, "revision", several=True),
        ),
        (
            Row("Inputs", tuple(_inputs(of))),
            Row("Predictions and errors", tuple(_outputs(of))),
            Row("What drives the score", tuple(_drivers(of))),
            Row("The monitor", tuple(_monitor(of))),
        ),
    )


def _chosen(of: Served) -> str:
    return f'{of.of_model},revision=~"$revision"'


def _inputs(of: Served) -> Iterator[Panel]:
    where = _chosen(of)
    feature = "{{feature}} {{revision}}"
    yield Panel(
        "Effect by feature",
        f"Share of rows that lie elsewhere than in the reference, of the {SHOWN} "
        "features where it is largest, on the newest whole day; it counts only if it "
        "is significant too.",
        "percentunit",
        one(f"topk({SHOWN}, model_drift_effect{{{where}}})", feature),
        width=12,
        limit=of.model_limit("ModelDataDrift", lambda it: it.effect_floor),
        empty=NO_DAY,
    )
    yield Panel(
        "Adjusted p-value by feature",
        "Probability of such a difference without drift, adjusted over all features, "
        f"of the {SHOWN} features where it is least.",
        "none",
        one(f"bottomk({SHOWN}, model_drift_adjusted_p_value{{{where}}})", feature),
        width=12,
        limit=of.model_limit("ModelDataDrift", lambda it: it.alpha, below=True),
        most=1,
        empty=NO_DAY,
    )
    yield Panel(
        "Features that have drifted",
        "1: significant, and above the floor, on enough of the last days.",
        "bool_yes_no",
        one(f"model_drift_detected{{{where}}}", feature),
        kind="states",
        width=12,
        empty=NO_DAY,
    )
    yield Panel(
        "Broken expectations",
        "1: more rows than in the reference are missing, out of range or unseen, on "
        "enough of the last days.",
        "bool_yes_no",
        one(
            f"model_data_quality_violation{{{where}}} == 1",
            "{{feature}} {{check}} {{revision}}",
        ),
        kind="states",
        width=12,
        empty="no expectation is broken",
    )


def _outputs(of: Served) -> Iterator[Panel]:
    where = _chosen(of)
    yield Panel(
        "Effect on predictions",
        "Share of scores and decisions that lie elsewhere than in the reference.",
        "percentunit",
        one(f"model_prediction_drift_effect{{{where}}}", "{{output}} {{revision}}"),
        limit=of.model_limit("ModelPredictionDrift", lambda it: it.effect_floor),
        empty=NO_DAY,
    )
    yield Panel(
        "CUSUM of the error rate",
        "Sum of the daily error rate's deviations, in standard deviations.",
        "none",
        one(f"model_concept_cusum{{{where}}}", "{{revision}}"),
        limit=of.model_limit("ModelConceptDrift", lambda it: it.cusum),
        empty="no label of a judged day yet",
    )
    yield Panel(
        "Drift with an alert",
        "1: the monitor has detected drift of predictions or of errors.",
        "bool_yes_no",
        one(
            f"model_prediction_drift_detected{{{where}}} or "
            f"model_concept_drift_detected{{{where}}}",
            "{{output}} {{revision}}",
        ),
        kind="states",
        empty=NO_DAY,
    )


def _drivers(of: Served) -> Iterator[Panel]:
    where = _chosen(of)
    feature = "{{feature}} {{revision}}"
    yield Panel(
        "Attribution by feature",
        "Mean change of the score when a feature is permuted among the rows of a day's "
        "sample, and the same over the revision's first days.",
        "none",
        (
            Query(f"model_attribution{{{where}}}", feature),
            Query(f"model_attribution_reference{{{where}}}", f"{feature}, first days"),
        ),
        empty=NOT_ATTRIBUTED,
    )
    yield Panel(
        "Agreement of the order",
        "Agreement (NDCG) of the features' order with that of the first days.",
        "none",
        one(f"model_attribution_ndcg{{{where}}}", "{{revision}}"),
        most=1,
        empty=NOT_ATTRIBUTED,
    )
    yield Panel(
        "Attribution that has drifted",
        "1: on enough of the last days, the order is another.",
        "bool_yes_no",
        one(f"model_attribution_drift_detected{{{where}}}", "{{revision}}"),
        kind="states",
        empty=NOT_ATTRIBUTED,
    )


def _monitor(of: Served) -> Iterator[Panel]:
    here = f'namespace="{of.namespace}"'
    yield Panel(
        "Age of the newest record",
        "Time since the newest prediction that the monitor has read; also grows "
        "without requests.",
        "s",
        one(f"time() - {NEWEST}{{{of.of_model}}}", "{{model}}"),
        limit=of.model_limit("ModelLogStale", lambda it: it.stale_seconds),
    )
    yield Panel(
        "Age of the results",
        "Time since the monitor's last whole cycle.",
        "s",
        one(f"time() - max(monitor_cycle_timestamp_seconds{{{here}}})", "last cycle"),
        limit=Limit("MonitorCycleStale", {"": of.cycle_seconds}),
    )
    yield Panel(
        "Reference missing",
        "1: the model's reference cannot be read, so that drift is not judged.",
        "bool_yes_no",
        one(f"monitor_reference_missing{{{of.of_model}}}", "{{model}}"),
        kind="states",
    )
    yield Panel(
        "Records",
        "Predictions that the monitor stores a second.",
        "short",
        one(
            f"sum by (model) (rate(monitor_records_total{{{of.of_model}}}[{SLOW}]))",
            "{{model}}",
        ),
        empty="none since the monitor's start",
    )
    yield Panel(
        "Labels",
        "Labels per second, by result.",
        "short",
        one(
            f"sum by (result) (rate(monitor_labels_total{{{here}}}[{SLOW}]))",
            "{{result}}",
        ),
        empty="none since the monitor's start",
    )
    yield Panel(
        "Quarantine",
        "Lines and files that could not be read within an hour, by reason.",
        "short",
        one(
            f"sum by (reason) (increase(monitor_quarantined_total{{{here}}}[1h]))",
            "{{reason}}",
        ),
        empty="all was readable",
    )
