"""Dashboard that sets two revisions of a model server side by side."""

from __future__ import annotations

from collections.abc import Iterator

from components.observability.dashboards.board import (
    Board,
    Panel,
    Query,
    Row,
    Variable,
    interval,
    one,
)
from components.observability.dashboards.limits import READY, Served
from components.observability.dashboards.model import ABSENT, NO_LABELS, WINDOWS

REVISION = "{{revision}}"
UNUSED = "one of the two answers no requests"


def board(of: Served) -> Board:
    """The dashboard of one stack's revisions."""
    rows = [
        Row("The second against the first", tuple(_compared(of))),
        Row("All revisions", tuple(_served(of))),
    ]
    if of.models:
        rows.append(Row("What they predict", tuple(_predictions(of))))
    return Board(
        f"{of.namespace}-revisions",
        f"Revisions of a model ({of.namespace})",
        "Two revisions of a model server compared by traffic, latency and quality.",
        tuple(_variables(of)),
        tuple(rows),
    )


def _variables(of: Served) -> Iterator[Variable]:
    all_ = f'{READY}{{namespace="{of.namespace}"}}'
    own = f"{READY}{{{_of_server(of)}}}"
    yield Variable("server", "Server", all_, "server")
    yield Variable("first", "First revision", own, "revision")
    yield Variable("second", "Second revision", own, "revision")
    if of.models:
        yield Variable("model", "Model", own, "model", hidden=True)
        quality = f"model_quality{{{of.of_model}}}"
        yield Variable("metric", "Metric", quality, "metric")
        yield Variable("window", "Window of quality", values=WINDOWS)


def _of_server(of: Served) -> str:
    return f'namespace="{of.namespace}",server="$server"'


def _both(of: Served, series: str, operator: str) -> str:
    """What the second revision has, set against the first."""
    second, first = (
        f'max({series}{{{_of_server(of)},revision="${which}"}})'
        for which in ("second", "first")
    )
    return f"{second} {operator} {first}"


def _compared(of: Served) -> Iterator[Panel]:
    p99 = "model:latency_seconds:p99"
    yield Panel(
        "Requests, ratio",
        "Requests of the second revision for each one of the first.",
        "none",
        one(_both(of, "model:requests:rate", "/"), "second / first"),
        kind="number",
        empty=UNUSED,
    )
    yield Panel(
        "Failed share, difference",
        "By how much more of its requests the second revision fails.",
        "percentunit",
        one(_both(of, "model:errors:ratio", "-"), "second - first"),
        kind="number",
        empty=UNUSED,
    )
    yield Panel(
        "Latency p99, ratio",
        "The second revision's 99th percentile over the first's.",
        "none",
        one(_both(of, p99, "/"), "second / first"),
        kind="number",
        empty=UNUSED,
    )


def _served(of: Served) -> Iterator[Panel]:
    where = _of_server(of)
    requests = f"model:requests:rate{{{where}}}"
    limited = of.server_limit
    yield Panel(
        "Share of requests",
        "Share of the server's requests that each revision gets.",
        "percentunit",
        one(
            f"sum by (revision) ({requests}) / on () group_left () "
            f"(sum({requests}) > 0)",
            REVISION,
        ),
        most=1,
        empty="nobody calls it",
    )
    yield Panel(
        "Failed share by revision",
        "Share of each revision's requests that failed by its fault (5xx).",
        "percentunit",
        one(f"model:errors:ratio{{{where}}}", REVISION),
        limit=limited("ModelErrorRatioHigh", lambda it: it.error_ratio),
        empty="nobody calls it",
    )
    yield Panel(
        "Latency p99 by revision",
        "99th percentile of each revision's latency inside the server.",
        "s",
        one(f"model:latency_seconds:p99{{{where}}}", REVISION),
        limit=limited("ModelLatencyHigh", lambda it: it.p99_seconds),
    )
    yield Panel(
        "Ready replicas by revision",
        "Replicas of each revision that answer.",
        "short",
        one(f"sum by (revision) ({READY}{{{where}}})", REVISION),
    )
    yield Panel(
        "Saturation by revision",
        "Share of its capacity that each revision's busiest replica uses.",
        "percentunit",
        one(f"model:saturation:max{{{where}}}", REVISION),
        limit=limited("ModelSaturated", lambda it: it.saturation),
        most=1,
        empty=ABSENT,
    )
    yield Panel(
        "Requests by arm",
        "Requests a second by the part that a revision plays in an experiment.",
        "reqps",
        one(f"sum by (arm) ({requests})", "{{arm}}"),
    )


def _predictions(of: Served) -> Iterator[Panel]:
    where = f'{of.of_model},metric="$metric",window="$window"'
    yield Panel(
        "Quality by revision",
        "The chosen metric with its 95 % interval: intervals that are apart differ.",
        "none",
        interval("model_quality", where, REVISION),
        width=12,
        empty=NO_LABELS,
    )
    yield Panel(
        "Labelled predictions by revision",
        "Predictions of the window that have a label: few give wide intervals.",
        "short",
        one(f'model_labelled_predictions{{{of.of_model},window="$window"}}', REVISION),
        width=12,
        empty=NO_LABELS,
    )
    yield Panel(
        "Largest drift by revision",
        "Largest effect over the features and over score and decision.",
        "percentunit",
        (
            Query(
                f"max by (revision) (model_drift_effect{{{of.of_model}}})",
                f"{REVISION} features",
            ),
            Query(
                f"max by (revision) (model_prediction_drift_effect{{{of.of_model}}})",
                f"{REVISION} predictions",
            ),
        ),
        width=12,
        empty="no whole day of records yet",
    )
    yield Panel(
        "Error rate's CUSUM by revision",
        "Sum of the daily error rate's deviations, in standard deviations.",
        "none",
        one(f"model_concept_cusum{{{of.of_model}}}", REVISION),
        width=12,
        limit=of.model_limit("ModelConceptDrift", lambda it: it.cusum),
        empty=NO_LABELS,
    )
