"""A model's rules: taken by promtool, firing when they should, with runbooks."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from model_server import metrics

from components.serving.alerts import rules
from components.serving.args.model_server_args import Alerts, ModelServerArgs
from components.serving.runtimes import runtime_metrics
from components.serving.settings.scaling_settings import Scaling
from tests.support.rendered import reference
from toolchain import packages, paths

RUNBOOKS = paths.ROOT / "docs" / "runbooks"
REFERENCE = paths.ROOT / "docs" / "reference" / "alerts.md"
SERVER = paths.ROOT / "images" / "model_server" / "README.md"
SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]

ARGS = ModelServerArgs(
    model_image=reference("a"),
    image=reference("b"),
    scaling=Scaling(signal="inflight", inflight_per_replica=8),
    alerts=Alerts(availability_percent=99.5, quiet_seconds=120),
)
TEXT = rules.rule_file("employment", "models", ARGS)
(GROUP,) = yaml.safe_load(TEXT)["groups"]
ALERTS = {rule["alert"]: rule for rule in GROUP["rules"] if "alert" in rule}
RECORDS = {rule["record"]: rule for rule in GROUP["rules"] if "record" in rule}


@pytest.fixture(scope="module")
def promtool() -> Path:
    return packages.unpack(["promtool"], suite="trixie") / "usr" / "bin" / "promtool"


@pytest.mark.programs
def test_promtool_takes_the_rules(promtool: Path, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(TEXT)
    done = subprocess.run(
        [promtool, "check", "rules", "--lint=all", "--lint-fatal", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(GROUP['rules'])} rules found" in done.stdout


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_says_what_how_bad_and_what_to_do(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["model"] == "employment"
    assert rule["labels"]["namespace"] == "models"
    assert rule["labels"]["severity"] in {"critical", "warning"}
    # A `for` would start anew whenever Prometheus does.
    assert "for" not in rule
    assert "[60s:2s]) >= 30" in rule["expr"]
    assert "employment" in rule["annotations"]["summary"]
    assert rule["annotations"]["description"].endswith(".")
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_has_its_runbook_and_its_heading(name: str) -> None:
    runbook = (RUNBOOKS / f"{name}.md").read_text()
    assert runbook.startswith(f"# {name}\n")
    assert re.findall(r"^## (.*)$", runbook, re.MULTILINE) == SECTIONS
    assert f"\n## {name}\n" in REFERENCE.read_text()
    assert f"runbooks/{name}.md" in REFERENCE.read_text()


def test_every_metric_is_one_that_the_server_has_or_a_rule_records() -> None:
    documented = SERVER.read_text()
    for rule in GROUP["rules"]:
        expression = re.sub(r'"[^"]*"', "", rule["expr"])
        names = re.findall(r"[a-z_:]*(?:model|prediction)_?[a-z_:0-9]*", expression)
        for name in {n for n in names if "_" in n or ":" in n}:
            base = name.removesuffix("_bucket")
            assert base in RECORDS or f"`{base}`" in documented, name


WHOSE = 'server="employment",namespace="models"'
LABELS = f'{WHOSE},model="employment",revision="r",runtime="onnx",arm="stable"'
FIVE = f'{LABELS},status="503",code="overloaded",instance="a"'


def sample(name: str, values: str, labels: str = f'{LABELS},instance="a"') -> Any:
    return {"series": f"{name}{{{labels}}}", "values": values}


def buckets(name: str, quick: str, slow: str) -> list[Any]:
    """A histogram whose observations are under 5 ms, or between 0.5 and 1 s."""
    bounds = {"0.005": quick, "0.5": quick, "1": slow, "+Inf": slow}
    return [
        sample(f"{name}_bucket", values, f'{LABELS},instance="a",le="{bound}"')
        for bound, values in bounds.items()
    ]


KEDA_ERRORS = "keda_scaler_detail_errors_total"
DROPS = "prediction_log_dropped_total"
STARTED = "process_start_time_seconds"
REQUESTS = sample("model_requests_total", "0+100x60")
FIRING: dict[str, list[Any]] = {
    "ModelWithoutReadyReplica": [sample("model_ready", "1x4 _x60")],
    "ModelErrorRatioHigh": [REQUESTS, sample("model_errors_total", "0+2x60", FIVE)],
    "ModelLatencyHigh": buckets("model_latency_seconds", "0+97x60", "0+100x60"),
    "ModelQueueSlow": buckets("model_queue_seconds", "0+97x60", "0+100x60"),
    "ModelSaturated": [sample("model_saturation", "0.95x60")],
    "ModelPredictionLogDrops": [sample(DROPS, "0+1x60", WHOSE)],
    "ModelScalingSignalAbsent": [sample("model_inflight", "3x4 _x60")],
    # 20 % of all requests, and 2.
    "ModelErrorBudgetBurnsFast": [
        REQUESTS,
        sample("model_errors_total", "0+20x60", FIVE),
    ],
    "ModelErrorBudgetBurnsSlowly": [
        REQUESTS,
        sample("model_errors_total", "0+2x60", FIVE),
    ],
    "ModelRestarting": [sample(STARTED, "1x9 200x9 400x9 600x60")],
    "ModelWithoutTraffic": [sample("model_requests_total", "0+100x9 1000x60")],
}
NOT_OURS = LABELS.replace("employment", "other") + ',instance="b"'
REFUSED = f'{LABELS},status="400",code="invalid_request",instance="a"'
SILENT: dict[str, list[Any]] = {
    "ModelWithoutReadyReplica": [sample("model_ready", "1x60")],
    "ModelErrorRatioHigh": [
        REQUESTS,
        sample("model_errors_total", "0+50x60", REFUSED),
        sample("model_requests_total", "0+1x60", NOT_OURS),
        sample("model_errors_total", "0+1x60", f'{NOT_OURS},status="500"'),
    ],
    "ModelLatencyHigh": buckets("model_latency_seconds", "0+100x60", "0+100x60"),
    "ModelQueueSlow": buckets("model_queue_seconds", "0x60", "0x60"),
    "ModelSaturated": [
        sample("model_saturation", "0.5x60"),
        sample("model_saturation", "1x60", NOT_OURS),
    ],
    "ModelPredictionLogDrops": [
        sample(DROPS, "0+1x60", WHOSE.replace("employment", "other")),
        sample(DROPS, "5x60", WHOSE),
    ],
    # 2 % is 4 times what is allowed, 0.4 % is within.
    "ModelErrorBudgetBurnsFast": [
        REQUESTS,
        sample("model_errors_total", "0+2x60", FIVE),
    ],
    "ModelErrorBudgetBurnsSlowly": [
        sample("model_requests_total", "0+1000x60"),
        sample("model_errors_total", "0+4x60", FIVE),
    ],
    "ModelRestarting": [
        sample(STARTED, "1x9 200x9 400x60"),
        sample(STARTED, "1x9 200x9 400x9 600x60", NOT_OURS),
    ],
    "ModelWithoutTraffic": [
        sample("model_requests_total", "0+1x60"),
        sample("model_requests_total", "7x60", NOT_OURS),
    ],
    "ModelScalingSignalAbsent": [
        sample("model_inflight", "0x60"),  # nothing to do is an answer, too
        sample(KEDA_ERRORS, "0+1x60", 'scaledObject="other"'),
    ],
}


def fires(promtool: Path, folder: Path, name: str, series: list[Any]) -> bool:
    """Whether the alert fires after ten minutes of these series."""
    (folder / "rules.yaml").write_text(TEXT)
    wanted = f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) > 0 or vector(0)'
    expression = {
        "expr": wanted,
        "eval_time": "10m",
        "exp_samples": [{"labels": "{}", "value": 1}],
    }
    test = {
        "rule_files": [str(folder / "rules.yaml")],
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "15s",
                "input_series": series,
                "promql_expr_test": [expression],
            }
        ],
    }
    (folder / "test.yaml").write_text(yaml.safe_dump(test))
    done = subprocess.run(
        [promtool, "test", "rules", str(folder / "test.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0 or "got:" in said, said
    return done.returncode == 0


def test_the_last_bucket_is_the_servers() -> None:
    """Settings refuse thresholds that no percentile of it can reach."""
    assert metrics.LATENCY_BUCKETS[-1] == runtime_metrics.LAST_BUCKET_SECONDS


def test_every_alert_is_tried() -> None:
    assert set(FIRING) == set(SILENT) == set(ALERTS)


@pytest.mark.programs
@pytest.mark.parametrize("name", FIRING)
def test_it_fires(promtool: Path, tmp_path: Path, name: str) -> None:
    assert fires(promtool, tmp_path, name, FIRING[name])


@pytest.mark.programs
@pytest.mark.parametrize("name", SILENT)
def test_it_is_silent(promtool: Path, tmp_path: Path, name: str) -> None:
    assert not fires(promtool, tmp_path, name, SILENT[name])


@pytest.mark.programs
def test_a_model_that_never_failed_has_a_ratio_of_zero(
    promtool: Path, tmp_path: Path
) -> None:
    (tmp_path / "rules.yaml").write_text(TEXT)
    ratio = f"model:errors:ratio{{{LABELS}}}"
    test = {
        "rule_files": [str(tmp_path / "rules.yaml")],
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "15s",
                "input_series": [REQUESTS],
                "promql_expr_test": [
                    {
                        "expr": "model:errors:ratio",
                        "eval_time": "10m",
                        "exp_samples": [{"labels": ratio, "value": 0}],
                    }
                ],
            }
        ],
    }
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(test))
    done = subprocess.run(
        [promtool, "test", "rules", str(tmp_path / "test.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.programs
def test_it_is_reported_if_keda_gets_no_answer(promtool: Path, tmp_path: Path) -> None:
    series = [
        sample("model_inflight", "3x60"),
        sample(KEDA_ERRORS, "0+1x60", 'scaledObject="employment"'),
    ]
    assert fires(promtool, tmp_path, "ModelScalingSignalAbsent", series)


def test_thresholds_are_the_settings() -> None:
    limits = Alerts(error_percent=2.5, saturation_percent=50, runbooks="https://h/r")
    found = {a.name: a for a in rules.alerts("m", 'server="m"', "300s", limits)}
    assert found["ModelErrorRatioHigh"].expression.endswith("> 0.025")
    assert found["ModelSaturated"].expression.endswith("> 0.5")
    args = ARGS.model_copy(update={"alerts": limits})
    assert "runbook_url: https://h/r/ModelSaturated.md" in rules.rule_file(
        "m", "n", args
    )
