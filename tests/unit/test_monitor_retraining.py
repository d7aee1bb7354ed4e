"""Requests to retrain as settings: what the monitor gets, and what it may reach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from model_monitor import config
from model_monitor.exchange import address

from components.monitoring import alerts, monitor_file, retraining
from components.monitoring.model_settings import ModelMonitoring
from components.monitoring.monitor_file import Watched
from components.monitoring.retraining import Retraining
from components.monitoring.settings import MonitorSettings
from components.security import network
from components.settings import SettingsError, parse
from tests.support import rendered as r

WATCHED = [Watched("m", r.reference("a"), ModelMonitoring())]
SENT = {"prediction_log": {"sink": "monitor"}, "monitor": {}}


def rendered(**settings: Any) -> dict[str, dict[str, Any]]:
    """The monitor's StatefulSet and NetworkPolicy, by kind."""
    made = r.models(
        monitor={"retraining": settings},
        models={"employment": {**r.EMPLOYMENT, **SENT}},
    )
    return {
        one["kind"]: one["spec"]
        for one in made.manifests
        if one["metadata"]["name"] == "model-monitor" and "spec" in one
    }


def test_the_monitor_reads_the_settings(tmp_path: Path) -> None:
    url = "https://train.example:8443/hook"
    settings = MonitorSettings(
        retraining={"webhook_url": url, "token_secret": "train", "repeat_days": 7}
    )
    file = tmp_path / "config.json"
    file.write_text(monitor_file.text(settings, WATCHED))
    found = config.read(file).retraining
    assert found.webhook == address(url)
    assert str(found.token) == retraining.TOKEN
    assert found.repeat_days == 7
    file.write_text(monitor_file.text(MonitorSettings(), WATCHED))
    assert config.read(file).retraining == config.Retraining()


def test_without_a_webhook_the_monitor_reaches_nothing_but_dns() -> None:
    assert rendered()["NetworkPolicy"]["egress"] == [network.allow_dns()]


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("https://train.example/x", {"ports": network.ports(443)}),
        ("http://train.example:8080", {"ports": network.ports(8080)}),
        (
            "https://10.1.2.3:8443/",
            {
                "ports": network.ports(8443),
                "to": [{"ipBlock": {"cidr": "10.1.2.3/32"}}],
            },
        ),
        (
            "https://[fd00::1]/",
            {"ports": network.ports(443), "to": [{"ipBlock": {"cidr": "fd00::1/128"}}]},
        ),
        ("http://trainer.ml.svc/x", {"to": [network.in_namespace("ml")]}),
        (
            "http://trainer.ml.svc.cluster.local:8080/x",
            {"to": [network.in_namespace("ml")]},
        ),
        ("http://trainer:8080/x", {"to": [network.SAME_NAMESPACE]}),
    ],
)
def test_with_one_it_reaches_its_host(url: str, rule: dict[str, Any]) -> None:
    policy = rendered(webhook_url=url)["NetworkPolicy"]
    assert policy["egress"] == [network.allow_dns(), rule]


def test_the_token_is_mounted_where_the_file_says() -> None:
    spec = rendered(webhook_url="https://x.example/", token_secret="train")
    pod = spec["StatefulSet"]["template"]["spec"]
    (volume,) = [it for it in pod["volumes"] if it["name"] == "retraining-token"]
    assert volume["secret"]["secretName"] == "train"
    (container,) = pod["containers"]
    (mount,) = [
        it for it in container["volumeMounts"] if it["name"] == "retraining-token"
    ]
    assert f"{mount['mountPath']}/token" == retraining.TOKEN
    assert mount["readOnly"]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"webhook_url": "train.example"}, "not an HTTP or HTTPS URL"),
        ({"webhook_url": "ftp://train.example"}, "not an HTTP or HTTPS URL"),
        ({"webhook_url": "https:///hook"}, "not an HTTP or HTTPS URL"),
        ({"webhook_url": "https://h:99999/"}, "is not a URL"),
        ({"webhook_url": "https://u:p@h.example/"}, "has a user or a fragment"),
        ({"webhook_url": "https://h.example/a b"}, "has a space"),
        ({"token_secret": "t"}, "no webhook to give the token to"),
        (
            {"webhook_url": "http://h.example/", "token_secret": "t"},
            "would leave the cluster unencrypted",
        ),
    ],
)
def test_what_is_refused(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(SettingsError) as raised:
        parse(Retraining, settings, "test")
    assert reason in str(raised.value)
    assert "fix: " in str(raised.value)


def test_what_the_component_takes_the_monitor_takes() -> None:
    for url in ("https://h.example", "http://trainer:8080/x?y=1", "https://[fd00::1]/"):
        found = parse(Retraining, {"webhook_url": url}, "test")
        assert found.webhook_url
        address(found.webhook_url)


def test_without_a_webhook_there_is_no_alert_on_it() -> None:
    name = "RetrainingRequestUnsent"
    assert name not in alerts.rule_file("models", MonitorSettings(), WATCHED)
    told = MonitorSettings(retraining={"webhook_url": "https://h.example/"})
    assert name in alerts.rule_file("models", told, WATCHED)
