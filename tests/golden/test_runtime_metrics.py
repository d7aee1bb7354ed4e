"""Servers of others say the common figures: by rules, from what they say themselves.

The files in metrics/ have each server's published names and our values; no real server
could be run here, so that a name that its next release changes is seen only there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from components.serving.alerts import rules
from components.serving.args.model_server_args import ModelServerArgs
from tests.support import promtool
from tests.support.rendered import reference

METRICS = Path(__file__).parent / "metrics"
TARGET = {
    "server": "s",
    "namespace": "models",
    "pod": "s-1",
    "node": "n",
    "instance": "10.0.0.1:1",
    "revision": "r1",
}
RUNTIMES: dict[str, dict[str, Any]] = {
    "tensorflow_serving": {"batching": {}},
    "triton": {"backend": "onnxruntime"},
    "vllm": {
        "gpus": {"instance_types": ["g6e.xlarge"]},
        "parameters_billions": 8,
    },
}
AGGREGATES: dict[str, dict[str, float | None]] = {
    # 100 requests in 15 s; 4 of them failed by the server's fault, 6 by the client's.
    "tensorflow_serving": {
        "model:requests:rate": 6.667,
        "model:errors:ratio": 0.04,
        # 3570.4672 us and 49 of the 50 in the next bucket.
        "model:latency_seconds:p99": 0.006,
        "model:queue_seconds:p99": 0.001,
        "model:inflight:sum": None,
        "model:saturation:max": None,
        "model:replicas_ready:sum": 1,
    },
    # 100 requests; 2 were given up by clients, 2 failed.
    "triton": {
        "model:requests:rate": 6.667,
        "model:errors:ratio": 0.02,
        "model:latency_seconds:p99": 0.004,
        "model:queue_seconds:p99": 0.001,
        "model:inflight:sum": None,
        "model:saturation:max": None,
        "model:replicas_ready:sum": 1,
    },
    # 60 requests below /v1, 3 of them failed; what is not below it does not count.
    "vllm": {
        "model:requests:rate": 4,
        "model:errors:ratio": 0.05,
        "model:latency_seconds:p99": 1.975,
        "model:queue_seconds:p99": 0.297,
        "model:inflight:sum": 7,
        "model:saturation:max": 0.62,
        "model:replicas_ready:sum": 1,
    },
}
ALERTS = {
    "tensorflow_serving": {
        "ModelWithoutReadyReplica",
        "ModelErrorRatioHigh",
        "ModelLatencyHigh",
        "ModelQueueSlow",
    },
    "triton": {
        "ModelWithoutReadyReplica",
        "ModelErrorRatioHigh",
        "ModelLatencyHigh",
        "ModelQueueSlow",
    },
    "vllm": {
        "ModelWithoutReadyReplica",
        "ModelErrorRatioHigh",
        "ModelLatencyHigh",
        "ModelQueueSlow",
        "ModelSaturated",
        "ModelScalingSignalAbsent",
    },
}


def args(kind: str, **runtime: Any) -> ModelServerArgs:
    more: dict[str, Any] = {}
    if kind == "vllm":
        more = {
            "scaling": {"signal": "inflight", "inflight_per_replica": 16},
            "lifecycle": {
                "startup_seconds": 600,
                "longest_request_seconds": 20,
                "stream_idle_seconds": 10,
            },
            "alerts": {"p99_milliseconds": 250, "queue_p99_milliseconds": 100},
            "resources": {"memory_request_mib": 8192, "memory_limit_mib": 16384},
        }
    return ModelServerArgs(
        model="m",
        model_image=reference("a"),
        image=reference("b"),
        runtime={"kind": kind, **RUNTIMES[kind], **runtime},
        **more,
    )


def given(kind: str) -> list[dict[str, str]]:
    text = (METRICS / f"{kind}.prom").read_text()
    text += "# TYPE up gauge\nup{} 1\n"
    # Another server of the same model, whose series are none of this one's business.
    other = {**TARGET, "server": "t", "pod": "t-1", "instance": "10.0.0.2:1"}
    return [*promtool.series(text, TARGET), *promtool.series(text, other)]


def rule_file(kind: str, **runtime: Any) -> str:
    return rules.rule_file("s", "models", args(kind, **runtime))


@pytest.mark.programs
@pytest.mark.parametrize("kind", RUNTIMES)
def test_promtool_takes_the_rules(kind: str, tmp_path: Path) -> None:
    assert promtool.lint(tmp_path, rule_file(kind)) == ""


@pytest.mark.programs
@pytest.mark.parametrize("kind", RUNTIMES)
def test_the_aggregates_are_what_the_server_measured(kind: str, tmp_path: Path) -> None:
    labels = (
        f'{{server="s", model="m", namespace="models", revision="r1", '
        f'runtime="{kind}", arm="stable"}}'
    )
    wanted = {
        f"round({name}, 0.001)": [] if value is None else [(labels, value)]
        for name, value in AGGREGATES[kind].items()
    }
    assert promtool.difference(tmp_path, rule_file(kind), given(kind), wanted) == ""


@pytest.mark.programs
@pytest.mark.parametrize("kind", RUNTIMES)
def test_a_replica_has_the_common_series(kind: str, tmp_path: Path) -> None:
    """By the names of the contract, with the labels of ours and of its target."""
    target = ", ".join(f'{name}="{value}"' for name, value in TARGET.items())
    labels = f'{{{target}, model="m", runtime="{kind}", arm="stable"}}'
    failed = labels.replace("}", ', status="5xx"}')
    ratio = AGGREGATES[kind]["model:errors:ratio"]
    # Forty scrapes, of which the first finds nothing yet.
    requests = (
        40 * promtool.INTERVAL_SECONDS * (AGGREGATES[kind]["model:requests:rate"] or 0)
    )
    wanted = {
        "round(model_requests_total, 10)": [(labels, round(requests, -1))],
        "round(model_errors_total / scalar(model_requests_total), 0.001)": [
            (failed, ratio)
        ],
        "round(model_latency_seconds_sum / model_latency_seconds_count, 0.0001)": [
            (labels, {"tensorflow_serving": 0.004, "triton": 0.0025, "vllm": 1.4}[kind])
        ],
        "round(model_queue_seconds_sum / model_queue_seconds_count, 0.0001)": [
            (
                labels,
                {"tensorflow_serving": 0.0005, "triton": 0.0005, "vllm": 0.1}[kind],
            )
        ],
    }
    assert promtool.difference(tmp_path, rule_file(kind), given(kind), wanted) == ""


@pytest.mark.programs
@pytest.mark.parametrize("kind", RUNTIMES)
def test_it_would_be_seen_if_a_series_were_called_otherwise(
    kind: str, tmp_path: Path
) -> None:
    renamed = [
        {
            **one,
            "series": one["series"].replace("latency", "delay").replace("summary", "s"),
        }
        for one in given(kind)
    ]
    wanted = {"count(model:latency_seconds:p99) > 0 or vector(0)": [("{}", 1)]}
    text = rule_file(kind)
    assert promtool.difference(tmp_path, text, given(kind), wanted) == ""
    assert promtool.difference(tmp_path, text, renamed, wanted) != ""


@pytest.mark.parametrize("kind", RUNTIMES)
def test_an_alert_on_a_figure_that_is_not_there_is_left_out(kind: str) -> None:
    (group,) = yaml.safe_load(rule_file(kind))["groups"]
    found = {rule["alert"] for rule in group["rules"] if "alert" in rule}
    assert found == ALERTS[kind]
    metrics = args(kind).runtime.metrics
    for name, has in {
        "model_inflight": metrics.inflight,
        "model_saturation": metrics.saturation,
    }.items():
        assert bool(has) != (name in metrics.absent), name


def test_without_batching_nothing_waits() -> None:
    text = rule_file("tensorflow_serving", batching=None)
    assert "queue" not in text


@pytest.mark.programs
@pytest.mark.parametrize("kind", RUNTIMES)
def test_a_server_that_prometheus_cannot_ask_is_reported(
    kind: str, tmp_path: Path
) -> None:
    alert = 'ALERTS{alertname="ModelWithoutReadyReplica",alertstate="firing"}'
    wanted = {f"count({alert}) or vector(0)": [("{}", 1)]}
    down = [one for one in given(kind) if not one["series"].startswith('up{server="s"')]
    text = rule_file(kind)
    assert promtool.difference(tmp_path, text, down, wanted) == ""
    assert promtool.difference(tmp_path, text, given(kind), wanted) != ""
