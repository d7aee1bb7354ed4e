"""Prometheus, Alertmanager and the platform's alerts as plain data."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from components import naming
from components.observability import alertmanager, platform_alerts, scrape
from components.observability.settings import (
    AlertmanagerSettings,
    AlertThresholds,
    PrometheusSettings,
)
from components.security import network
from components.setting_secrets import PLACEHOLDER
from slipway.rendering.render import Rendered
from tests.support import platform
from tests.support import promtool as rules_by
from tests.support.rendered import IMAGES
from toolchain import packages, paths

LIMITS = AlertThresholds()
ALERTS = platform_alerts.alerts(LIMITS, gateway=True, gpus=True)
RUNBOOKS = paths.ROOT / "docs" / "runbooks"
REFERENCE = paths.ROOT / "docs" / "reference" / "alerts.md"
OTHERS = {"RulesRefused"}
"""Alerts that are not in a rule file of ours; the reloader makes them."""
SECTIONS = ("Meaning", "Impact", "Diagnosis", "Mitigation")


@pytest.fixture(scope="session")
def promtool() -> Path:
    return packages.unpack(["promtool"], suite="trixie") / "usr" / "bin" / "promtool"


def lab_config() -> dict[str, Any]:
    text = platform.only(platform.lab(), "ConfigMap", "prometheus")["data"]
    content: dict[str, Any] = yaml.safe_load(text["prometheus.yaml"])
    return content


def lab_alertmanager() -> dict[str, Any]:
    text = platform.only(platform.lab(), "ConfigMap", "alertmanager")["data"]
    content: dict[str, Any] = yaml.safe_load(text["alertmanager.yaml"])
    return content


def check(promtool: Path, *arguments: str) -> str:
    done = subprocess.run(
        [promtool, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.programs
def test_promtool_takes_the_rules(promtool: Path, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(platform_alerts.rule_file(ALERTS, "docs/runbooks"))
    said = check(promtool, "check", "rules", "--lint=all", "--lint-fatal", str(file))
    # Two more are recorded: that the rules are watched, and which XIDs were seen.
    assert f"{len(ALERTS) + 2} rules found" in said


@pytest.mark.programs
def test_promtool_takes_the_configuration(promtool: Path, tmp_path: Path) -> None:
    settings = PrometheusSettings(image=IMAGES["prometheus"])
    text = scrape.configuration(settings, "alertmanager.x.svc:9093")
    file = tmp_path / "prometheus.yaml"
    file.write_text(text)
    check(promtool, "check", "config", "--syntax-only", str(file))


def series(name: str, values: str) -> dict[str, str]:
    return {"series": name, "values": values}


UP = 'up{job="pods",namespace="slipway-gateway",app="envoy",instance="a"}'
OTHER_UP = 'up{job="pods",namespace="models",app="model-server",instance="b"}'
RULE_FAILURES = 'prometheus_rule_evaluation_failures_total{rule_group="g"}'
RELOADED = "prometheus_config_last_reload_successful"
NOTIFY_ERRORS = 'prometheus_notifications_errors_total{alertmanager="x"}'
WEBHOOK_ERRORS = (
    'alertmanager_notifications_failed_total{integration="webhook",reason="other"}'
)
PREFIX = 'envoy_http_conn_manager_prefix="http-10080"'
FAILED = f'envoy_http_downstream_rq_xx{{{PREFIX},envoy_response_code_class="5"}}'
SERVED = f'envoy_http_downstream_rq_xx{{{PREFIX},envoy_response_code_class="2"}}'
# Envoy's own listener, as the readiness probe sees it: counts in no ratio.
PROBED = (
    'envoy_http_downstream_rq_xx{envoy_http_conn_manager_prefix="eg-ready-http",'
    'envoy_response_code_class="2"}'
)

OF_GPU = 'gpu="0",node="n",UUID="GPU-1",modelName="L4"'
XID = f"DCGM_FI_DEV_XID_ERRORS{{{OF_GPU}}}"
REMAP = f"DCGM_FI_DEV_ROW_REMAP_FAILURE{{{OF_GPU}}}"
HOT = f"DCGM_FI_DEV_GPU_TEMP{{{OF_GPU}}}"
USED, FREE = (f"DCGM_FI_DEV_FB_{what}{{{OF_GPU}}}" for what in ("USED", "FREE"))
EXPORTER = series('up{app="dcgm-exporter",node="n"}', "1x60")
STARTED = 'process_start_time_seconds{job="prometheus"}'

BACKEND = 'envoy_cluster_name="httproute/models/assistant/rule/0"'
CUT = f"envoy_cluster_upstream_rq_timeout{{{BACKEND}}}"
BEGUN = f"envoy_cluster_upstream_rq_total{{{BACKEND}}}"
STOOD_STILL = f"envoy_http_downstream_rq_idle_timeout{{{PREFIX}}}"
ASKED = f"envoy_http_downstream_rq_total{{{PREFIX}}}"

FIRING: dict[str, list[dict[str, str]]] = {
    "Watchdog": [],
    "TargetDown": [series(OTHER_UP, "0x60"), series(UP, "1x60")],
    "PrometheusRuleFailures": [series(RULE_FAILURES, "0+1x60")],
    "PrometheusReloadFailed": [series(RELOADED, "0x60")],
    "PrometheusNotificationsFailing": [series(NOTIFY_ERRORS, "0+1x60")],
    "AlertmanagerWebhookFailing": [series(WEBHOOK_ERRORS, "0+1x60")],
    "GatewayErrorRatioHigh": [
        series(FAILED, "0+60x60"),
        series(SERVED, "0+600x60"),
        series(PROBED, "0+60000x60"),
    ],
    # One in ten, and each of them with status 200.
    "GatewayAnswersCut": [
        series(CUT, "0+1x60"),
        series(BEGUN, "0+10x60"),
        series(SERVED, "0+10x60"),
    ],
    "GatewayAbsent": [series(UP, "0x60")],
    "GpuFailed": [EXPORTER, series(XID, "0x5 79x60")],
    "PrometheusRestarting": [series(STARTED, "1x10 200x10 400x60")],
    "GpuHot": [series(HOT, "86x60")],
    "GpuMemoryFull": [series(USED, "99x60"), series(FREE, "1x60")],
}
SILENT: dict[str, list[dict[str, str]]] = {
    "TargetDown": [series(OTHER_UP, "0 0 1x60")],
    "PrometheusRuleFailures": [series(RULE_FAILURES, "7x60")],
    "PrometheusReloadFailed": [series(RELOADED, "1x60")],
    "PrometheusNotificationsFailing": [series(NOTIFY_ERRORS, "7x60")],
    "AlertmanagerWebhookFailing": [series(WEBHOOK_ERRORS, "7x60")],
    "GatewayErrorRatioHigh": [series(FAILED, "0+6x60"), series(SERVED, "0+600x60")],
    "GatewayAnswersCut": [
        series(CUT, "0+1x60"),
        series(BEGUN, "0+100x60"),
        series(STOOD_STILL, "7x60"),
        series(ASKED, "0+100x60"),
    ],
    "GatewayAbsent": [series(UP, "1x60")],
    # 31 is the program's own: it read memory that it does not have.
    "GpuFailed": [EXPORTER, series(XID, "0x5 31x60"), series(REMAP, "0x60")],
    # Once: its configuration was changed.
    "PrometheusRestarting": [series(STARTED, "1x10 200x60")],
    # For a minute.
    "GpuHot": [series(HOT, "80x20 99x4 80x60")],
    "GpuMemoryFull": [series(USED, "97x60"), series(FREE, "3x60")],
}


def fires(folder: Path, name: str, given: list[dict[str, str]]) -> bool:
    """Whether the alert fires after ten minutes of these series."""
    only = [alert for alert in ALERTS if alert.name == name]
    assert only
    rules = platform_alerts.rule_file(only, "docs/runbooks")
    return rules_by.fires(folder, rules, name, given)


def test_every_alert_is_tried() -> None:
    names = {alert.name for alert in ALERTS}
    assert set(FIRING) == names
    assert set(SILENT) == names - {platform_alerts.WATCHDOG}


@pytest.mark.programs
@pytest.mark.parametrize("name", sorted(FIRING))
def test_it_fires(tmp_path: Path, name: str) -> None:
    assert fires(tmp_path, name, FIRING[name])


@pytest.mark.programs
@pytest.mark.parametrize("name", sorted(SILENT))
def test_it_is_silent(tmp_path: Path, name: str) -> None:
    assert not fires(tmp_path, name, SILENT[name])


@pytest.mark.programs
@pytest.mark.parametrize(
    "given",
    [
        [series(STOOD_STILL, "0+10x60"), series(ASKED, "0+100x60")],
        # They began before the window.
        [series(CUT, "0+1x60"), series(BEGUN, "500x60")],
    ],
    ids=["answers that stand still", "long answers"],
)
def test_answers_that_are_cut_are_reported(
    tmp_path: Path, given: list[dict[str, str]]
) -> None:
    assert fires(tmp_path, "GatewayAnswersCut", given)


def test_without_a_gateway_there_are_no_alerts_of_it() -> None:
    names = {a.name for a in platform_alerts.alerts(LIMITS, gateway=False)}
    others = {a.name for a in ALERTS if not a.name.startswith("Gateway")}
    assert names == {name for name in others if not name.startswith("Gpu")}


@pytest.mark.parametrize("name", sorted({a.name for a in ALERTS} | OTHERS))
def test_every_alert_has_its_runbook_and_its_heading(name: str) -> None:
    runbook = (RUNBOOKS / f"{name}.md").read_text()
    assert runbook.startswith(f"# {name}\n")
    assert re.findall(r"^## (.*)$", runbook, re.MULTILINE) == list(SECTIONS)
    assert f"\n## {name}\n" in REFERENCE.read_text()
    assert f"runbooks/{name}.md" in REFERENCE.read_text()


def test_rules_are_labelled_for_the_reloader() -> None:
    found = platform.only(platform.lab(), "ConfigMap", "rules-platform")["metadata"]
    assert found["namespace"] == naming.MONITORING_NAMESPACE
    assert found["labels"][naming.RULES_LABEL] == "true"
    pod = platform.pods(platform.lab())["prometheus"]["spec"]
    (reloader,) = [c for c in pod["containers"] if c["name"] == "rules-reloader"]
    variables = {e["name"]: e["value"] for e in reloader["env"]}
    assert variables["SELECTOR"] == f"{naming.RULES_LABEL}=true"
    mounts = {
        c["name"]: {m["name"]: m["mountPath"] for m in c["volumeMounts"]}
        for c in pod["containers"]
    }
    assert mounts["rules-reloader"]["rules"] == variables["RULES_DIR"]
    assert mounts["prometheus"]["rules"] == variables["RULES_DIR"]
    assert lab_config()["rule_files"] == [f"{variables['RULES_DIR']}/*.yaml"]


def test_the_lab_scrapes_and_evaluates_every_two_seconds() -> None:
    found = lab_config()
    assert found["global"]["scrape_interval"] == "2s"
    assert found["global"]["evaluation_interval"] == "2s"
    assert found["global"]["scrape_timeout"] == "2s"
    slow = {
        job["job_name"]
        for job in found["scrape_configs"]
        if job.get("scrape_interval") == "30s"
    }
    assert slow == {"cadvisor", "apiserver"}


def test_alerts_go_from_prometheus_to_the_recorder() -> None:
    (target,) = lab_config()["alerting"]["alertmanagers"]
    (address,) = target["static_configs"][0]["targets"]
    service, namespace, _ = address.partition(":")[0].split(".")
    assert platform.only(platform.lab(), "Service", service)
    assert namespace == naming.MONITORING_NAMESPACE
    (receiver,) = lab_alertmanager()["receivers"]
    (webhook,) = receiver["webhook_configs"]
    assert webhook["url"] == "http://alert-recorder.slipway-monitoring.svc:9095/alerts"
    assert webhook["send_resolved"] is True
    assert lab_alertmanager()["route"]["group_wait"] == "0s"


def test_own_webhooks_come_beside_the_recorder() -> None:
    settings = AlertmanagerSettings(
        image=IMAGES["alertmanager"], webhooks=("https://pager.example/x",)
    )
    content = yaml.safe_load(alertmanager.configuration(settings, "http://recorder"))
    recorder, own = content["receivers"][0]["webhook_configs"]
    assert recorder["url"] == "http://recorder"
    assert own == {"url_file": f"{alertmanager.WEBHOOKS}/0", "send_resolved": True}
    nobody = AlertmanagerSettings(image=IMAGES["alertmanager"])
    content = yaml.safe_load(alertmanager.configuration(nobody))
    assert content["receivers"] == [{"name": "all"}]


def test_a_webhooks_address_is_in_a_secret_and_nowhere_else() -> None:
    encrypted = {"webhooks": [{"secure": "v1:AA=="}], "webhook_ports": [8443]}
    found = platform.rendered(monitoring={"alertmanager": encrypted})
    secret = platform.only(found, "Secret", "alertmanager-webhooks")
    assert base64.b64decode(secret["data"]["0"]).decode() == PLACEHOLDER
    assert [name for name in found.sealed if "webhooks" in name] == found.secrets
    others = [m for m in found.manifests if m is not secret]
    assert PLACEHOLDER not in json.dumps(others)
    spec = platform.only(found, "StatefulSet", "alertmanager")["spec"]["template"]
    (volume,) = [v for v in spec["spec"]["volumes"] if v["name"] == "webhooks"]
    assert volume["secret"]["secretName"] == "alertmanager-webhooks"
    policy = platform.only(found, "NetworkPolicy", "alertmanager")["spec"]
    assert {"ports": [{"port": 8443, "protocol": "TCP"}]} in policy["egress"]
    assert {} not in policy["egress"], "everywhere"


def test_an_alertmanager_elsewhere_is_used() -> None:
    found = platform.rendered(
        gateway={"enabled": False},
        envoy_gateway={"enabled": False},
        gateway_api={"enabled": False},
        monitoring={
            "alertmanager": {"enabled": False, "address": "am.other.svc:9093"},
            "prometheus": {"storage": {"size": "20Gi", "storage_class": "fast"}},
        },
    )
    text = platform.only(found, "ConfigMap", "prometheus")["data"]["prometheus.yaml"]
    targets = yaml.safe_load(text)["alerting"]["alertmanagers"][0]["static_configs"]
    assert targets == [{"targets": ["am.other.svc:9093"]}]
    spec = platform.only(found, "StatefulSet", "prometheus")["spec"]
    (claim,) = spec["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "20Gi"
    assert claim["spec"]["storageClassName"] == "fast"
    assert "data" not in [v["name"] for v in spec["template"]["spec"]["volumes"]]


def test_a_webhook_on_port_80_is_no_way_to_the_nodes_credentials() -> None:
    found = platform.rendered(
        monitoring={
            "alertmanager": {"webhooks": [{"secure": "v1:AA=="}], "webhook_ports": [80]}
        }
    )
    policy = platform.only(found, "NetworkPolicy", "alertmanager")["spec"]
    (rule,) = [
        it
        for it in policy["egress"]
        if {"port": 80, "protocol": "TCP"} in it.get("ports", [])
    ]
    assert {"namespaceSelector": {}} in rule["to"]
    blocks = [peer["ipBlock"] for peer in rule["to"] if "ipBlock" in peer]
    assert {block["cidr"]: block["except"] for block in blocks} == {
        "0.0.0.0/0": ["169.254.169.254/32"],
        "::/0": ["fd00:ec2::254/128"],
    }


def of_prometheus(found: Rendered) -> tuple[bool, set[int]]:
    """Whether it may call every pod, and the ports that it may call anywhere."""
    rules = platform.only(found, "NetworkPolicy", "prometheus")["spec"]["egress"]
    anywhere = [rule for rule in rules if "to" not in rule]
    assert all(rule.get("ports") for rule in anywhere), "everything"
    ports = {port["port"] for rule in anywhere for port in rule["ports"]}
    return {"to": [{"namespaceSelector": {}}]} in rules, ports


def test_prometheus_may_call_pods_and_of_nodes_what_it_scrapes() -> None:
    nodes = {443, 6443, 9477, 10250}
    assert of_prometheus(platform.lab()) == (True, nodes)
    more = platform.rendered(
        monitoring={
            "alertmanager": {"enabled": False, "address": "am.example:9999"},
            "prometheus": {"host_ports": [9100]},
        }
    )
    assert of_prometheus(more) == (True, nodes | {9100, 9999})


def test_on_port_80_prometheus_does_not_reach_the_metadata_service() -> None:
    found = platform.rendered(
        monitoring={
            "alertmanager": {"enabled": False, "address": "am.example:80"},
            "prometheus": {"host_ports": [80]},
        }
    )
    rules = platform.only(found, "NetworkPolicy", "prometheus")["spec"]["egress"]
    (rule,) = (
        it for it in rules if {"port": 80, "protocol": "TCP"} in it.get("ports", ())
    )
    blocks = [it["ipBlock"] for it in rule["to"] if "ipBlock" in it]
    assert [it["except"] for it in blocks] == [[it] for it in network.METADATA]


@pytest.mark.parametrize(
    ("host", "is_inside"),
    [
        ("am.other.svc", True),
        ("am.other.svc.cluster.local", True),
        ("svc.example.com", False),
        ("am.svcs.example", False),
        ("am.other.svc-1.example", False),
    ],
)
def test_a_service_of_the_cluster_is_reported_by_its_label(
    host: str, is_inside: bool
) -> None:
    alertmanager = {"enabled": False, "address": f"{host}:9999"}
    _, ports = of_prometheus(
        platform.rendered(monitoring={"alertmanager": alertmanager})
    )
    assert (9999 not in ports) == is_inside


def test_a_changed_configuration_restarts_its_reader() -> None:
    first = platform.pods(platform.lab())["prometheus"]["metadata"]["annotations"]
    other = platform.rendered(gateway_api={"enabled": False})
    second = platform.pods(other)["prometheus"]["metadata"]["annotations"]
    assert first["slipway.dev/config"] != second["slipway.dev/config"]
