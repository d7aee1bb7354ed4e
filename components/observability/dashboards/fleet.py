"""Dashboard of the whole cluster: models, alerts, gateway, nodes, monitoring itself."""

from __future__ import annotations

from collections.abc import Iterator

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
    one,
)
from components.observability.dashboards.limits import READY
from components.observability.platform_alerts import (
    LISTENER,
    TARGETS_DOWN_RATIO,
)
from components.observability.settings import AlertThresholds

WHERE = 'namespace=~"$namespace"'
SERVER = "{{namespace}}/{{server}}"
BY_SERVER = "namespace, server"
ABSENT = "no server measures it"


def board(limits: AlertThresholds, *, gateway: bool) -> Board:
    """The dashboard; of the gateway only where the stack makes it."""
    rows = [
        Row("Now", tuple(_now())),
        Row("Models", tuple(_models())),
        Row("Alerts and targets", tuple(_alerts())),
        *([Row("Gateway", tuple(_gateway(limits)))] if gateway else []),
        Row("Nodes", tuple(_nodes())),
        Row("Monitoring and API server", tuple(_monitoring())),
    ]
    return Board(
        "fleet",
        "Fleet",
        "All models, alerts that fire, the gateway, the nodes and Prometheus.",
        (Variable("namespace", "Namespace", READY, "namespace", several=True),),
        tuple(rows),
    )


def _now() -> Iterator[Panel]:
    ready = f"sum by ({BY_SERVER}) ({READY}{{{WHERE}}})"
    numbers = (
        (
            "Model servers that answer",
            "Model servers with a ready replica.",
            f"count({ready} > 0) or vector(0)",
        ),
        (
            "Ready replicas",
            "Ready replicas of all model servers.",
            f"sum({READY}{{{WHERE}}}) or vector(0)",
        ),
        (
            "Alerts that fire",
            "Alerts of severity critical or warning that fire now.",
            f'count(ALERTS{{{FIRING},severity=~"critical|warning"}}) or vector(0)',
        ),
        (
            "Targets down",
            "Scrape targets that do not answer.",
            "count(up == 0) or vector(0)",
        ),
    )
    for title, description, expr in numbers:
        yield Panel(title, description, "short", one(expr, title), "number", width=6)


def _models() -> Iterator[Panel]:
    yield Panel(
        "Requests",
        "Requests a second by model server.",
        "reqps",
        one(f"sum by ({BY_SERVER}) (model:requests:rate{{{WHERE}}})", SERVER),
    )
    yield Panel(
        "Failed share",
        "Share of requests that failed by the server's fault (5xx), of its worst "
        "revision.",
        "percentunit",
        one(f"max by ({BY_SERVER}) (model:errors:ratio{{{WHERE}}})", SERVER),
        empty="no model gets requests",
    )
    yield Panel(
        "Latency, p99",
        "99th percentile of the latency inside the server, of its slowest revision.",
        "s",
        one(f"max by ({BY_SERVER}) (model:latency_seconds:p99{{{WHERE}}})", SERVER),
    )
    yield Panel(
        "Saturation",
        "Share of its capacity that the busiest replica of a server uses.",
        "percentunit",
        one(f"max by ({BY_SERVER}) (model:saturation:max{{{WHERE}}})", SERVER),
        most=1,
        empty=ABSENT,
    )
    yield Panel(
        "Replicas",
        "Ready replicas by model server.",
        "short",
        one(f"sum by ({BY_SERVER}) ({READY}{{{WHERE}}})", SERVER),
    )
    yield Panel(
        "Asleep",
        "1: the model is scaled to zero until it gets a request.",
        "bool_yes_no",
        one(f"max by (namespace, target) (waker_asleep{{{WHERE}}})", "{{target}}"),
        empty="no model may sleep",
    )


def _alerts() -> Iterator[Panel]:
    yield Panel(
        "Alerts",
        "What fires now; Watchdog always does, as proof that alerts arrive.",
        "none",
        one(
            "max by (severity, alertname, namespace, model, server, revision) "
            f"(ALERTS{{{FIRING}}})",
            "{{alertname}}",
        ),
        kind="table",
        width=12,
    )
    yield Panel(
        "Share of targets down",
        "Share of a program's scrape targets that do not answer.",
        "percentunit",
        one(
            "1 - avg by (job, namespace, app) (up)",
            "{{job}} {{namespace}} {{app}}",
        ),
        width=12,
        limit=Limit("TargetDown", {"": TARGETS_DOWN_RATIO}),
        most=1,
    )


def _gateway(limits: AlertThresholds) -> Iterator[Panel]:
    answers = f"envoy_http_downstream_rq_xx{{{LISTENER}"
    failed = f'{answers},envoy_response_code_class="5"}}'
    yield Panel(
        "Answers by class",
        "Answers a second by the first digit of their status.",
        "reqps",
        one(
            f"sum by (envoy_response_code_class) (rate({answers}}}[{RATE}]))",
            "{{envoy_response_code_class}}xx",
        ),
    )
    yield Panel(
        "Share of 5xx",
        "Share of the gateway's answers that are 5xx.",
        "percentunit",
        one(
            f"(sum(rate({failed}[{RATE}])) or vector(0)) / "
            f"(sum(rate({answers}}}[{RATE}])) > 0)",
            "5xx",
        ),
        limit=Limit("GatewayErrorRatioHigh", {"": limits.gateway_error_ratio}),
        empty="nobody calls",
    )
    yield Panel(
        "Latency of the gateway, p99",
        "99th percentile of the time from a request's arrival to the answer's end.",
        "s",
        one(
            "histogram_quantile(0.99, sum by (le) (rate("
            f"envoy_http_downstream_rq_time_bucket{{{LISTENER}}}[{RATE}]))) / 1000",
            "p99",
        ),
    )
    yield Panel(
        "Answers cut",
        "Answers a second that a time limit of the route ended, by backend.",
        "reqps",
        one(
            "sum by (envoy_cluster_name) "
            f"(rate(envoy_cluster_upstream_rq_timeout[{RATE}])) > 0",
            "{{envoy_cluster_name}}",
        ),
        empty="no answer is cut",
    )
    yield Panel(
        "Connections",
        "Connections of callers that are open.",
        "short",
        one(f"sum by (pod) (envoy_http_downstream_cx_active{{{LISTENER}}})", "{{pod}}"),
    )


def _nodes() -> Iterator[Panel]:
    pods = 'container!="",pod!=""'
    yield Panel(
        "Processors of nodes",
        "Share of a node's processor cores that its pods use.",
        "percentunit",
        one(
            "sum by (node) "
            f"(rate(container_cpu_usage_seconds_total{{{pods}}}[{SLOW}])) / "
            "max by (node) (machine_cpu_cores)",
            "{{node}}",
        ),
        most=1,
    )
    yield Panel(
        "Memory of nodes",
        "Share of a node's memory that its pods use.",
        "percentunit",
        one(
            f"sum by (node) (container_memory_working_set_bytes{{{pods}}}) / "
            "max by (node) (machine_memory_bytes)",
            "{{node}}",
        ),
        most=1,
    )
    yield Panel(
        "Killed for memory",
        "Containers that ran out of memory within an hour.",
        "short",
        one(
            "sum by (namespace, pod) (increase(container_oom_events_total[1h])) > 0",
            "{{namespace}}/{{pod}}",
        ),
        empty="none",
    )


def _monitoring() -> Iterator[Panel]:
    yield Panel(
        "Series",
        "Series that Prometheus holds in memory.",
        "short",
        one("prometheus_tsdb_head_series", "series"),
    )
    yield Panel(
        "Failures of Prometheus",
        "Rules that could not be evaluated and alerts that could not be sent, in "
        f"{SLOW}; more than none fires PrometheusRuleFailures or "
        "PrometheusNotificationsFailing.",
        "short",
        (
            Query(
                "sum(increase(prometheus_rule_evaluation_failures_total"
                f"[{SLOW}])) or vector(0)",
                "rules",
            ),
            Query(
                f"sum(increase(prometheus_notifications_errors_total[{SLOW}])) or "
                "vector(0)",
                "alerts",
            ),
        ),
    )
    took = "apiserver_request_duration_seconds"
    short = 'verb!~"WATCH|CONNECT"'
    yield Panel(
        "API server's latency",
        "Mean time that the API server takes for requests that end at once.",
        "s",
        one(
            f"sum by (verb) (rate({took}_sum{{{short}}}[{SLOW}])) / "
            f"(sum by (verb) (rate({took}_count{{{short}}}[{SLOW}])) > 0)",
            "{{verb}}",
        ),
    )
