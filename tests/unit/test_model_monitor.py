"""The model monitor as a component: objects, configuration file, alerts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from model_monitor import config
from model_monitor.config import Config

from components.monitoring import alerts, monitor_file
from components.monitoring.model_settings import Fairness, ModelMonitoring
from components.monitoring.monitor_file import Watched
from components.monitoring.settings import MonitorSettings
from slipway.rendering.render import Rendered
from tests.support import promtool
from tests.support import rendered as r
from toolchain import paths

RUNBOOKS = paths.ROOT / "docs" / "runbooks"
REFERENCE = paths.ROOT / "docs" / "reference" / "alerts.md"
CONTRACTS = paths.ROOT / "contracts"
SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]
EVERYTHING = ModelMonitoring(
    fairness=Fairness(attributes=("SEX",)),
    quality=({"metric": "f1"},),
    review_by="2027-01-31",
    approved_revisions=("r1",),
    attributions={},
)
WEBHOOK = "https://train.example/hook"
SETTINGS = MonitorSettings(labels_secret="labels", retraining={"webhook_url": WEBHOOK})
WATCHED = [
    Watched("employment", r.reference("a"), EVERYTHING, ("employment", "employment-b"))
]
TEXT = alerts.rule_file("models", SETTINGS, WATCHED)
ALERTS = {alert.name: alert for alert in alerts.alerts("models", SETTINGS, WATCHED)}
WHERE = 'namespace="models"'
MODEL = f'model="employment",{WHERE},revision="r"'


@pytest.fixture(scope="module")
def made() -> Rendered:
    sent = {"prediction_log": {"sink": "monitor"}}
    return r.models(
        monitor={"labels_secret": "labels", "node_port": 30096},
        models={
            "employment": {**r.EMPLOYMENT, **sent, "monitor": {}},
            "employment-b": {
                **r.EMPLOYMENT,
                **sent,
                "model": "employment",
                "route": {"prefix": "/b/v1"},
            },
        },
    )


def of_monitor(made: Rendered, kind: str) -> dict[str, Any]:
    (found,) = [
        one
        for one in made.manifests
        if one["kind"] == kind
        and one["metadata"]["labels"]["app.kubernetes.io/name"] == "model-monitor"
        and "slipway.dev/prometheus-rules" not in one["metadata"]["labels"]
    ]
    return found


def pods(made: Rendered) -> dict[str, dict[str, Any]]:
    """Pod templates of the model servers by name."""
    return {
        one["metadata"]["name"]: one["spec"]["template"]
        for one in made.manifests
        if one["kind"] == "Deployment"
    }


def test_without_a_watched_model_there_is_no_monitor() -> None:
    names = {one["metadata"]["name"] for one in r.models().manifests}
    assert not {name for name in names if "monitor" in name}
    (server,) = pods(r.models()).values()
    assert "initContainers" not in server["spec"]


def test_the_monitor_reads_the_file_that_settings_make(
    made: Rendered, tmp_path: Path
) -> None:
    file = tmp_path / "config.json"
    file.write_text(of_monitor(made, "ConfigMap")["data"]["config.json"])
    read = config.read(file)
    assert str(read.store) == "/var/lib/model-monitor"
    assert str(read.label_tokens) == monitor_file.LABELS_TOKEN
    (model,) = read.models
    assert model.name == "employment"
    assert str(model.reference) == "/models/employment/reference.json"


def test_the_monitor_reads_every_setting(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(monitor_file.text(SETTINGS, WATCHED))
    (model,) = config.read(file).models
    assert model.fairness.attributes == ("SEX",)
    assert [one.metric for one in model.quality] == ["f1"]
    assert str(model.review_by) == "2027-01-31"
    assert model.approved_revisions == ("r1",)


def test_defaults_are_the_same_on_both_sides(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    least = Watched("employment", "i", ModelMonitoring())
    file.write_text(monitor_file.text(MonitorSettings(), [least]))
    said = json.loads(file.read_text())
    (given,) = config.read(file).models
    said["models"] = [{"name": "employment"}]
    file.write_text(json.dumps(said))
    (own,) = config.read(file).models
    for name in (
        *("task", "positive", "label_horizon_days", "min_labels", "drift"),
        "retire_after_days",
    ):
        assert getattr(given, name) == getattr(own, name), name
    # The monitor's own default is that of its whole file.
    assert own.label_wait_days is None
    assert given.label_wait_days == Config(Path()).label_wait_days
    assert given.concept == own.concept
    assert given.min_coverage == own.min_coverage


def test_a_server_sends_its_log_by_a_native_sidecar(made: Rendered) -> None:
    for template in pods(made).values():
        (shipper,) = template["spec"]["initContainers"]
        assert shipper["restartPolicy"] == "Always"
        variables = {one["name"]: one["value"] for one in shipper["env"]}
        assert variables["LOG_SHIPPER_SINK"] == "http://model-monitor:9300"
        (mount,) = shipper["volumeMounts"]
        (server,) = template["spec"]["containers"]
        assert mount in server["volumeMounts"]
        # The last file is sent after the server has ended.
        assert template["spec"]["terminationGracePeriodSeconds"] == 35 + 10
        assert template["metadata"]["annotations"]["slipway.dev/log-shipper-port"]


def test_only_servers_and_prometheus_reach_the_monitor(made: Rendered) -> None:
    inner, labels = of_monitor(made, "NetworkPolicy")["spec"]["ingress"]
    peers = [peer.get("podSelector", {}).get("matchLabels") for peer in inner["from"]]
    assert {"app.kubernetes.io/name": "model-server"} in peers
    assert len(peers) == 2
    # Labels need a token, and have a port on which nothing else is answered.
    assert "from" not in labels
    assert [port["port"] for port in labels["ports"]] == [9301]
    services = {
        one["metadata"]["name"]: one["spec"]
        for one in made.manifests
        if one["kind"] == "Service" and "monitor" in one["metadata"]["name"]
    }
    assert services["model-monitor"]["type"] == "ClusterIP"
    (port,) = services["model-monitor-labels"]["ports"]
    assert (port["targetPort"], port["nodePort"]) == ("labels", 30096)


def test_without_a_node_port_no_port_is_open_to_all() -> None:
    watched = {"prediction_log": {"sink": "monitor"}, "monitor": {}}
    closed = r.models(models={"employment": {**r.EMPLOYMENT, **watched}})
    (rule,) = of_monitor(closed, "NetworkPolicy")["spec"]["ingress"]
    assert [port["port"] for port in rule["ports"]] == [9300]
    assert rule["from"]


def test_a_server_may_call_the_monitor_and_prometheus_its_sidecar(
    made: Rendered,
) -> None:
    policies = [
        one["spec"]
        for one in made.manifests
        if one["kind"] == "NetworkPolicy"
        and one["metadata"]["name"].startswith("employment")
    ]
    assert len(policies) == 2
    for spec in policies:
        assert [9102] in [
            [port["port"] for port in rule["ports"]] for rule in spec["ingress"]
        ]
        assert [9300] in [
            [port["port"] for port in rule["ports"]] for rule in spec["egress"]
        ]


def test_a_bucket_is_reached_like_any_object_store() -> None:
    sent = r.model(prediction_log={"sink": "s3://logs/models"})
    (policy,) = [one for one in sent.manifests if one["kind"] == "NetworkPolicy"]
    ports = [[p["port"] for p in rule["ports"]] for rule in policy["spec"]["egress"]]
    assert [443] in ports
    (shipper,) = pods(sent)["employment"]["spec"]["initContainers"]
    variables = {one["name"]: one["value"] for one in shipper["env"]}
    assert variables["LOG_SHIPPER_SINK"] == "s3://logs/models"


def test_a_corrected_pod_replaces_one_that_never_gets_ready(made: Rendered) -> None:
    assert of_monitor(made, "StatefulSet")["spec"]["podManagementPolicy"] == "Parallel"


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_has_its_runbook_and_its_heading(name: str) -> None:
    runbook = (RUNBOOKS / f"{name}.md").read_text()
    assert runbook.startswith(f"# {name}\n")
    assert re.findall(r"^## (.*)$", runbook, re.MULTILINE) == SECTIONS
    assert f"## {name}\n" in REFERENCE.read_text()
    assert f"runbooks/{name}.md" in REFERENCE.read_text()


def series_of(file: str) -> set[str]:
    content = yaml.safe_load((CONTRACTS / file).read_text())
    return set(content["metrics"])


def test_every_series_is_one_that_somebody_exports() -> None:
    known = series_of("monitor_metrics.yaml") | series_of("log_shipper_metrics.yaml")
    known |= {"model_requests_total", "up"}
    for alert in ALERTS.values():
        expression = re.sub(r'"[^"]*"', "", alert.expression)
        named = set(re.findall(r"\b(?:model|monitor|log)_[a-z_]+", expression))
        assert named or "up{" in alert.expression, alert.name
        assert named <= known, alert.name


def sample(name: str, values: str, labels: str = MODEL) -> dict[str, str]:
    return {"series": f"{name}{{{labels}}}", "values": values}


HOUR = "x240"
CALLED = sample("model_requests_total", f"0+10{HOUR}", f'server="employment-b",{WHERE}')
FIRING: dict[str, list[dict[str, str]]] = {
    "MonitorDown": [sample("other", f"1{HOUR}")],
    "MonitorCycleStale": [sample("monitor_cycle_timestamp_seconds", f"0{HOUR}", WHERE)],
    "MonitorQuarantinesRecords": [
        sample("monitor_quarantined_total", f"0+1{HOUR}", f'{WHERE},reason="json"')
    ],
    "LogShipperBehind": [
        sample(
            "log_shipper_oldest_waiting_seconds", f"901{HOUR}", f'{WHERE},server="s"'
        )
    ],
    "LogShipperLosesFiles": [
        sample("log_shipper_lost_files_total", f"0 1{HOUR}", f'{WHERE},server="s"')
    ],
    "ModelLogStale": [
        CALLED,
        sample("monitor_log_newest_timestamp_seconds", f"-7200{HOUR}"),
    ],
    "MonitorReferenceMissing": [sample("monitor_reference_missing", f"1{HOUR}")],
    "ModelLabelCoverageLow": [
        sample("model_label_coverage_ratio", f"0.5{HOUR}", f'{MODEL},window="30d"')
    ],
    "ModelQualityLow": [sample("model_quality_below_baseline", f"1{HOUR}")],
    "ModelConceptDrift": [sample("model_concept_drift_detected", f"1{HOUR}")],
    "ModelAttributionDrift": [sample("model_attribution_drift_detected", f"1{HOUR}")],
    "ModelAttributionsMissing": [sample("model_attribution_days_missing", f"3{HOUR}")],
    "RetrainingRequestUnsent": [sample("model_retraining_requests_unsent", f"1{HOUR}")],
    "ModelDataDrift": [sample("model_drift_detected", f"1{HOUR}")],
    "ModelPredictionDrift": [sample("model_prediction_drift_detected", f"1{HOUR}")],
    "ModelDataQualityViolation": [sample("model_data_quality_violation", f"1{HOUR}")],
    "ModelFairnessOutsideLimits": [sample("model_fairness_outside_limits", f"1{HOUR}")],
    "ModelReviewOverdue": [sample("model_review_overdue", f"1{HOUR}")],
    "ModelRevisionUnapproved": [sample("model_unapproved_revision", f"1{HOUR}")],
}
"""What makes each alert fire after an hour."""
SILENT = [
    sample("up", f"1{HOUR}", f'app="model-monitor",{WHERE}'),
    sample("monitor_cycle_timestamp_seconds", f"0+15{HOUR}", WHERE),
    sample("monitor_quarantined_total", f"5{HOUR}", f'{WHERE},reason="json"'),
    sample("log_shipper_oldest_waiting_seconds", f"899{HOUR}", f'{WHERE},server="s"'),
    sample("log_shipper_lost_files_total", f"7{HOUR}", f'{WHERE},server="s"'),
    CALLED,
    sample("monitor_log_newest_timestamp_seconds", f"0+15{HOUR}"),
    sample("model_label_coverage_ratio", f"0.9{HOUR}", f'{MODEL},window="30d"'),
    *(
        sample(series, f"0{HOUR}")
        for series in (
            "monitor_reference_missing",
            "model_quality_below_baseline",
            "model_concept_drift_detected",
            "model_drift_detected",
            "model_prediction_drift_detected",
            "model_data_quality_violation",
            "model_fairness_outside_limits",
            "model_review_overdue",
            "model_unapproved_revision",
            "model_retraining_requests_unsent",
            "model_attribution_drift_detected",
        )
    ),
    sample("model_attribution_days_missing", f"2{HOUR}"),
]
"""A monitor that has nothing to tell."""


NEVER = 'server="employment",namespace="models"'
ONCE = {
    "a log that never had a record": (
        "ModelLogStale",
        [sample("model_requests_total", "0+10x480", NEVER)],
    ),
    "a file that cannot be read again and again": (
        "MonitorQuarantinesRecords",
        [sample("monitor_files_total", "0+1x480", f'{WHERE},result="failed"')],
    ),
}
QUIET = {
    "the first request after a long pause": (
        "ModelLogStale",
        [
            sample("model_requests_total", "0x236 1x4", NEVER),
            sample("monitor_log_newest_timestamp_seconds", f"-7200{HOUR}"),
        ],
    ),
    "a request to retrain that is being sent": (
        "RetrainingRequestUnsent",
        [sample("model_retraining_requests_unsent", "0x200 1x40")],
    ),
    "a start that has not finished a cycle yet": (
        "MonitorCycleStale",
        [sample("monitor_cycle_timestamp_seconds", "0+15x236 0x4", WHERE)],
    ),
}


@pytest.mark.programs
@pytest.mark.parametrize("case", ONCE)
def test_it_also_fires_for(case: str, tmp_path: Path) -> None:
    name, given = ONCE[case]
    # promtool's clock begins in 1970, so the hour that a log may be old passes first.
    assert promtool.fires(tmp_path, TEXT, name, given, "2h")


@pytest.mark.programs
@pytest.mark.parametrize("case", QUIET)
def test_it_does_not_fire_for(case: str, tmp_path: Path) -> None:
    name, given = QUIET[case]
    assert not promtool.fires(tmp_path, TEXT, name, given, "1h")


def test_a_model_without_labels_has_no_alert_on_their_coverage() -> None:
    name = "ModelLabelCoverageLow"
    drift_only = [Watched("m", "i", ModelMonitoring(), ("m",))]
    assert name not in alerts.rule_file("models", SETTINGS, drift_only)
    assert name not in alerts.rule_file("models", MonitorSettings(), WATCHED)
    assert name in TEXT


def test_every_alert_is_seen_firing() -> None:
    assert set(FIRING) == set(ALERTS)


@pytest.mark.programs
def test_promtool_takes_the_rules(tmp_path: Path) -> None:
    assert promtool.lint(tmp_path, TEXT) == ""


@pytest.mark.programs
@pytest.mark.parametrize("name", FIRING)
def test_it_fires(name: str, tmp_path: Path) -> None:
    assert promtool.fires(tmp_path, TEXT, name, FIRING[name], "1h")


@pytest.fixture(scope="module")
def of_silent(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """What fires for a monitor that has nothing to tell."""
    folder = tmp_path_factory.mktemp("silent")
    return promtool.firing(folder, TEXT, SILENT, "1h")[0]


@pytest.mark.programs
@pytest.mark.parametrize("name", FIRING)
def test_it_is_silent(name: str, of_silent: set[str]) -> None:
    assert name not in of_silent


@pytest.mark.programs
def test_a_model_that_nobody_calls_has_no_stale_log(tmp_path: Path) -> None:
    given = [FIRING["ModelLogStale"][1]]
    assert not promtool.fires(tmp_path, TEXT, "ModelLogStale", given, "1h")
