"""Dashboard of model servers: the same panels for every kind of server.

It reads the series that rules record of each server by common names
(components/serving/alerts/recording.py), and of the pods what the kubelets measure.
"""

from __future__ import annotations

from collections.abc import Iterator

from components.monitoring.alerts import BEHIND_SECONDS
from components.observability.dashboards.board import (
    FIRING,
    RATE,
    SLOW,
    Board,
    Limit,
    Panel,
    Query,
    Row,
    Variable,
    interval,
    one,
)
from components.observability.dashboards.limits import READY, Served

ABSENT = "this kind of server does not measure it"
NO_LABELS = "no label of a judged day yet"
WINDOWS = ("30d", "7d", "1d")
"""Windows of the model monitor (contracts/monitor_metrics.yaml)."""
BY = "{{server}} {{revision}}"


def board(of: Served) -> Board:
    """The dashboard of one stack's model servers."""
    chosen = f'{READY}{{namespace="{of.namespace}"}}'
    variables = [
        Variable("server", "Server", chosen, "server", several=True),
        *(_of_quality(of) if of.models else ()),
    ]
    rows = [
        Row("Now", tuple(_now(of))),
        Row("Requests", tuple(_requests(of))),
        Row("Pods", tuple(_pods(of))),
        Row("Prediction log", tuple(_log(of))),
    ]
    if of.models:
        rows.append(Row("Quality of the model", tuple(_quality(of))))
    return Board(
        f"{of.namespace}-model",
        f"Model servers ({of.namespace})",
        "Requests, failures, latency, load and quality of model servers of every kind.",
        tuple(variables),
        tuple(rows),
    )


def _of_quality(of: Served) -> Iterator[Variable]:
    where = f'namespace="{of.namespace}"'
    series = f"monitor_log_newest_timestamp_seconds{{{where}}}"
    yield Variable("model", "Model", series, "model")
    yield Variable("window", "Window of quality", values=WINDOWS)


def _now(of: Served) -> Iterator[Panel]:
    where = of.of_servers
    yield Panel(
        "Ready replicas",
        "Replicas that answer, over all revisions.",
        "short",
        one(f"sum by (server) ({READY}{{{where}}})", "{{server}}"),
        kind="number",
        width=6,
    )
    yield Panel(
        "Requests now",
        "Requests a second over all replicas, those that failed too.",
        "reqps",
        one(f"sum by (server) (model:requests:rate{{{where}}})", "{{server}}"),
        kind="number",
        width=6,
    )
    yield Panel(
        "Requests of the time shown",
        "Requests since the left end of the graphs.",
        "short",
        one(
            f"sum by (server) (increase(model_requests_total{{{where}}}[$__range]))",
            "{{server}}",
        ),
        kind="number",
        width=6,
    )
    yield Panel(
        "Alerts that fire",
        "Alerts about these servers that fire now.",
        "short",
        one(f"count(ALERTS{{{FIRING},{where}}}) or vector(0)", "firing"),
        kind="number",
        width=6,
    )


def _requests(of: Served) -> Iterator[Panel]:
    where = of.of_servers
    yield Panel(
        "Requests",
        "Requests a second by server and revision.",
        "reqps",
        one(f"sum by (server, revision) (model:requests:rate{{{where}}})", BY),
    )
    yield Panel(
        "Failed share",
        "Share of requests that failed by the server's fault (5xx).",
        "percentunit",
        one(f"model:errors:ratio{{{where}}}", BY),
        limit=of.server_limit("ModelErrorRatioHigh", lambda it: it.error_ratio),
        empty="nobody calls it",
    )
    yield Panel(
        "Failures by code",
        "Failed and refused requests a second, by status and code of the answer.",
        "reqps",
        one(
            "sum by (server, status, code) "
            f"(rate(model_errors_total{{{where}}}[{RATE}])) > 0",
            "{{server}} {{status}} {{code}}",
        ),
        empty="no request has failed",
    )
    yield Panel(
        "Latency, p99",
        "99th percentile from the request's arrival at the server to its answer.",
        "s",
        one(f"model:latency_seconds:p99{{{where}}}", BY),
        limit=of.server_limit("ModelLatencyHigh", lambda it: it.p99_seconds),
    )
    yield Panel(
        "Latency, median and p90",
        "Half and nine tenths of the requests are answered sooner than this.",
        "s",
        tuple(
            Query(
                f"histogram_quantile({share}, sum by (le, server) "
                f"(rate(model_latency_seconds_bucket{{{where}}}[{RATE}])))",
                f"{{{{server}}}} {name}",
            )
            for share, name in ((0.5, "median"), (0.9, "p90"))
        ),
        empty=ABSENT,
    )
    yield Panel(
        "Wait for the model, p99",
        "99th percentile of the time that a request waits before the model runs.",
        "s",
        one(f"model:queue_seconds:p99{{{where}}}", BY),
        limit=of.server_limit("ModelQueueSlow", lambda it: it.queue_p99_seconds),
        empty=ABSENT,
    )
    yield Panel(
        "Requests in flight",
        "Requests inside the replicas, waiting ones too.",
        "short",
        one(f"model:inflight:sum{{{where}}}", BY),
        empty=ABSENT,
    )
    yield Panel(
        "Saturation",
        "Share of its capacity that the busiest replica uses.",
        "percentunit",
        one(f"model:saturation:max{{{where}}}", BY),
        limit=of.server_limit("ModelSaturated", lambda it: it.saturation),
        most=1,
        empty=ABSENT,
    )
    yield Panel(
        "Replicas",
        "Ready replicas by revision.",
        "short",
        one(f"{READY}{{{where}}}", BY),
    )


def _pods(of: Served) -> Iterator[Panel]:
    """The kubelets know pods and not servers, which Prometheus' own targets do."""
    pods = f'up{{job="pods",app="model-server",{of.of_servers}}}'
    joined = f"* on (namespace, pod) group_left (server) {_group(pods)}"
    of_pods = f'{{namespace="{of.namespace}",container!=""}}'
    metrics = (
        (
            "Processor",
            "Processor cores that each pod uses.",
            "short",
            f"rate(container_cpu_usage_seconds_total{of_pods}[{SLOW}])",
        ),
        (
            "Memory",
            "Memory of each pod that the kernel cannot take back.",
            "bytes",
            f"container_memory_working_set_bytes{of_pods}",
        ),
    )
    for title, description, unit, measured in metrics:
        expr = f"sum by (namespace, pod) ({measured}) {joined}"
        yield Panel(
            title,
            description,
            "bytes" if unit == "bytes" else "short",
            one(expr, "{{server}} {{pod}}"),
        )
    periods = f"rate(container_cpu_cfs_{{}}periods_total{of_pods}[{SLOW}])"
    throttled, all_ = (
        f"sum by (namespace, pod) ({periods.replace('{}', kind)})"
        for kind in ("throttled_", "")
    )
    yield Panel(
        "Throttled",
        "Share of time slices in which a pod had used up its processor limit.",
        "percentunit",
        one(f"({throttled} / {all_}) {joined}", "{{server}} {{pod}}"),
        most=1,
        empty="the pods have no processor limit",
    )


def _group(pods: str) -> str:
    return f"group by (namespace, pod, server) ({pods})"


def _log(of: Served) -> Iterator[Panel]:
    where = of.of_servers
    unsent = "the servers' logs are not sent anywhere"
    yield Panel(
        "Records lost",
        "Prediction records a second that were dropped because the disk was too slow.",
        "short",
        one(
            f"sum by (server) (rate(prediction_log_dropped_total{{{where}}}[{RATE}]))",
            "{{server}}",
        ),
        empty="these servers keep no prediction log",
    )
    yield Panel(
        "Age of the oldest unsent file",
        "How long the oldest finished file of the prediction log waits to be sent.",
        "s",
        one(
            f"max by (server) (log_shipper_oldest_waiting_seconds{{{where}}})",
            "{{server}}",
        ),
        limit=Limit("LogShipperBehind", {"": BEHIND_SECONDS}),
        empty=unsent,
    )
    yield Panel(
        "Files sent",
        "Files of the prediction log that the store has taken or refused, a minute.",
        "short",
        one(
            "60 * sum by (server, result) "
            f"(rate(log_shipper_files_total{{{where}}}[{SLOW}]))",
            "{{server}} {{result}}",
        ),
        empty=unsent,
    )


def _quality(of: Served) -> Iterator[Panel]:
    where = f'{of.of_model},window="$window"'
    legend = "{{metric}} {{revision}}"
    yield Panel(
        "Quality",
        "Metrics of the predictions that have labels, with their 95 % intervals.",
        "none",
        interval("model_quality", where, legend),
        width=12,
        empty=NO_LABELS,
    )
    yield Panel(
        "Below the baseline",
        "1: the whole interval is worse than the baseline by more than the margin.",
        "bool_yes_no",
        one(f"model_quality_below_baseline{{{where}}}", legend),
        kind="states",
        width=12,
        empty="too few labels to tell, or no baseline",
    )
    yield Panel(
        "Label coverage",
        "Share of the answered predictions of the window that have a label.",
        "percentunit",
        one(f"model_label_coverage_ratio{{{where}}}", "{{revision}}"),
        limit=of.model_limit(
            "ModelLabelCoverageLow", lambda it: it.coverage_ratio, below=True
        ),
        most=1,
        empty=NO_LABELS,
    )
    yield Panel(
        "Labelled predictions",
        "Predictions of the window that have a label.",
        "short",
        one(f"model_labelled_predictions{{{where}}}", "{{revision}}"),
        empty=NO_LABELS,
    )
    yield Panel(
        "Baselines",
        "What each metric is expected to be.",
        "none",
        one(f"model_quality_baseline{{{of.of_model}}}", "{{metric}}"),
        empty="no metric of the model has a baseline",
    )
