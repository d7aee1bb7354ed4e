"""Each panel has data where servers, monitor, gateway and exporters say all they can.

The monitor's series are made of its contract and the GPUs' of the exporter's list, so
that a label that a query needs and the series lack is seen here, not in an empty panel.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.observability import platform_alerts
from components.observability.dashboards.board import Board
from components.observability.settings import AlertThresholds
from components.platform.gpu import dcgm_exporter
from components.serving.alerts import rules
from components.serving.args.model_server_args import ModelServerArgs
from slipway.dashboards import standard
from tests.support import dashboards as support
from tests.support import promtool
from tests.support.rendered import reference
from toolchain import paths

Series = dict[str, str]

CHOSEN = {
    "server": "employment",
    "first": "r1",
    "second": "r2",
    "model": "employment",
    "revision": "r1",
    "metric": "accuracy",
    "window": "7d",
    "attribute": "SEX",
    "namespace": "models",
    "node": "n",
}
VALUES = {
    "model": ["employment"],
    "revision": ["r1", "r2"],
    "metric": ["accuracy", "demographic_parity_ratio", "equalized_odds_difference"],
    "window": ["7d", "30d"],
    "feature": ["AGEP"],
    "check": ["missing"],
    "output": ["score"],
    "attribute": ["SEX"],
    "result": ["accepted"],
    "reason": ["syntax"],
}
"""Values of the labels in the monitor's contract."""


def series(name: str, labels: dict[str, str], by: float = 1, *, grows: bool) -> Series:
    inside = ",".join(f'{label}="{value}"' for label, value in labels.items())
    values = f"0+{by}x60" if grows else f"{by}x60"
    return {"series": f"{name}{{{inside}}}", "values": values}


def gauge(name: str, value: float = 1, **labels: str) -> Series:
    return series(name, labels, value, grows=False)


def counter(name: str, **labels: str) -> Series:
    return series(name, labels, grows=True)


def of_servers() -> Iterator[Series]:
    for revision in ("r1", "r2"):
        target = {
            "job": "pods",
            "app": "model-server",
            "server": "employment",
            "namespace": "models",
            "pod": f"employment-{revision}",
            "node": "n",
            "instance": revision,
            "revision": revision,
        }
        own = {**target, "model": "employment", "runtime": "onnx", "arm": "stable"}
        yield gauge("up", **target)
        yield counter("model_requests_total", **own)
        yield counter("model_errors_total", **own, status="503", code="overloaded")
        for name in ("model_latency_seconds", "model_queue_seconds"):
            for bound in ("0.1", "+Inf"):
                yield counter(f"{name}_bucket", **own, le=bound)
        for name in ("model_inflight", "model_saturation", "model_ready"):
            yield gauge(name, **own)
        yield counter("prediction_log_dropped_total", **target)
        shipper = {**target, "app": "log-shipper"}
        yield gauge("log_shipper_oldest_waiting_seconds", **shipper)
        yield counter("log_shipper_files_total", **shipper, result="sent")
        yield from of_kubelet(target)


def of_kubelet(target: dict[str, str]) -> Iterator[Series]:
    """Of one container; a kubelet does not know whose the pod is."""
    known = {name: target[name] for name in ("namespace", "pod", "node")}
    own = {**known, "job": "cadvisor", "container": "server"}
    for name in (
        "container_cpu_usage_seconds_total",
        "container_cpu_cfs_periods_total",
        "container_cpu_cfs_throttled_periods_total",
        "container_oom_events_total",
    ):
        yield counter(name, **own)
    yield gauge("container_memory_working_set_bytes", **own)


def of_monitor() -> Iterator[Series]:
    text = (paths.ROOT / "contracts" / "monitor_metrics.yaml").read_text()
    target = {"job": "pods", "app": "model-monitor", "namespace": "models"}
    for name, family in yaml.safe_load(text)["metrics"].items():
        for values in itertools.product(*(VALUES[it] for it in family["labels"])):
            labels = dict(zip(family["labels"], values, strict=True))
            grows = family["kind"] == "counter"
            yield series(name, {**target, **labels}, grows=grows)


def of_gpus() -> Iterator[Series]:
    target = {"job": "pods", "app": "dcgm-exporter", "node": "n"}
    gpu = {"gpu": "0", "UUID": "GPU-1", "modelName": "L4", "gpu_pod": "employment-r1"}
    yield gauge("up", **target)
    for name, kind, _ in (*dcgm_exporter.COUNTERS, *dcgm_exporter.PROFILING):
        own = {**target, **gpu}
        if name == "DCGM_EXP_XID_ERRORS_COUNT":
            own["xid"] = "79"
        idle = name == "DCGM_FI_DEV_GPU_UTIL"
        yield series(name, own, 0 if idle else 1, grows=kind == "counter")


def of_others() -> Iterator[Series]:
    """Gateway, nodes, Karpenter, Prometheus, API server, waker, an alert."""
    yield gauge(
        "ALERTS",
        alertstate="firing",
        alertname="A",
        severity="warning",
        namespace="models",
        server="employment",
    )
    listener = {"envoy_http_conn_manager_prefix": "http-10080", "pod": "envoy"}
    for digit in ("2", "5"):
        answers = "envoy_http_downstream_rq_xx"
        yield counter(answers, **listener, envoy_response_code_class=digit)
    for bound in ("5", "+Inf"):
        yield counter("envoy_http_downstream_rq_time_bucket", **listener, le=bound)
    yield gauge("envoy_http_downstream_cx_active", **listener)
    yield counter("envoy_cluster_upstream_rq_timeout", envoy_cluster_name="c")
    yield gauge("machine_cpu_cores", node="n")
    yield gauge("machine_memory_bytes", node="n")
    paid = {"instance_type": "m7i.large", "capacity_type": "spot", "zone": "z"}
    node = {**paid, "node_name": "n", "nodepool": "p", "resource_type": "cpu"}
    yield gauge("karpenter_nodes_allocatable", **node)
    yield gauge("karpenter_nodes_total_pod_requests", **node)
    price = "karpenter_cloudprovider_instance_type_offering_price_estimate"
    yield gauge(price, **paid)
    yield gauge("prometheus_tsdb_head_series", job="prometheus")
    yield gauge("waker_asleep", namespace="models", target="employment")
    for part in ("sum", "count"):
        yield counter(f"apiserver_request_duration_seconds_{part}", verb="GET")


@functools.cache
def recorded() -> str:
    """The rules of the platform and of one model server, as one file."""
    args = ModelServerArgs(model_image=reference("a"), image=reference("b"))
    limits = AlertThresholds()
    told = platform_alerts.alerts(limits, gateway=True, gpus=True)
    texts = (
        rules.rule_file("employment", "models", args),
        platform_alerts.rule_file(told, "docs/runbooks"),
    )
    groups = [group for text in texts for group in yaml.safe_load(text)["groups"]]
    return yaml.safe_dump({"groups": groups})


@pytest.mark.programs
@pytest.mark.parametrize("board", standard(), ids=lambda board: board.name)
def test_every_panel_has_data(tmp_path: Path, board: Board) -> None:
    given = [*of_servers(), *of_monitor(), *of_gpus(), *of_others()]
    wanted: dict[str, Any] = {}
    for asked in support.queries(board):
        query = support.filled(asked.expr, CHOSEN)
        wanted[f"count({query}) > bool 0 or vector(0)"] = [("{}", 1)]
    assert wanted
    assert not promtool.difference(tmp_path, recorded(), given, wanted)
