"""The job of attributions as a component: objects, its file, and what it may reach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from model_attributions import settings as job_settings
from model_monitor import config
from model_monitor.attributions.settings import AttributionSettings

from components import naming
from components.monitoring import alerts, monitor_file
from components.monitoring.attributions import TOKEN
from components.monitoring.model_settings import ModelMonitoring
from components.monitoring.monitor_file import Watched
from components.monitoring.settings import MonitorSettings
from components.security import network
from components.settings import SettingsError
from slipway.rendering.render import Rendered
from tests.support import rendered as r

JOB = {"token_secret": "attributions"}
SENT = {"prediction_log": {"sink": "monitor"}}


def made(monitor: dict[str, Any] | None = None, **of_model: Any) -> Rendered:
    return r.models(
        monitor={"attributions": JOB} if monitor is None else monitor,
        models={"employment": {**r.EMPLOYMENT, **SENT, "monitor": of_model}},
    )


def objects(rendered: Rendered, program: str) -> dict[str, dict[str, Any]]:
    """Objects of a program in the models' namespace, by kind."""
    return {
        one["kind"]: one
        for one in rendered.manifests
        if one["metadata"]["labels"].get("app.kubernetes.io/name") == program
        and one["metadata"]["namespace"] == "models"
    }


@pytest.fixture(scope="module")
def rendered() -> Rendered:
    return made(attributions={"rows": 500})


@pytest.fixture(scope="module")
def found(rendered: Rendered) -> dict[str, dict[str, Any]]:
    return objects(rendered, naming.MODEL_ATTRIBUTIONS)


def test_without_a_model_that_wants_it_there_is_no_job() -> None:
    without = made({})
    assert objects(without, naming.MODEL_ATTRIBUTIONS) == {}
    monitor = objects(without, naming.MODEL_MONITOR)
    assert "model-attributions" not in str(monitor["NetworkPolicy"])
    assert "attributions" not in monitor["ConfigMap"]["data"]["config.json"]


def test_one_bounded_run_a_day(found: dict[str, dict[str, Any]]) -> None:
    spec = found["CronJob"]["spec"]
    assert (spec["schedule"], spec["timeZone"]) == ("17 3 * * *", "Etc/UTC")
    assert spec["concurrencyPolicy"] == "Forbid"
    job = spec["jobTemplate"]["spec"]
    assert job["activeDeadlineSeconds"] == 6 * 3600
    assert job["backoffLimit"] == 2
    assert job["template"]["spec"]["restartPolicy"] == "Never"


def test_the_pod_is_restricted(found: dict[str, dict[str, Any]]) -> None:
    pod = found["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    (container,) = pod["containers"]
    security = container["securityContext"]
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    limits = container["resources"]["limits"]
    assert (limits["cpu"], limits["memory"]) == ("500m", "512Mi")
    assert all(it.get("readOnly") for it in container["volumeMounts"])


def test_the_job_reads_its_file(
    found: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    file = tmp_path / "config.json"
    file.write_text(found["ConfigMap"]["data"]["config.json"])
    read = job_settings.from_environment({job_settings.VARIABLE: str(file)})
    assert read.monitor == "http://model-monitor:9300"
    assert str(read.token) == TOKEN
    (model,) = read.models
    assert (model.name, str(model.folder)) == ("employment", "/models/employment")
    pod = found["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    paths = {it["mountPath"]: it["name"] for it in container["volumeMounts"]}
    volumes = {it["name"]: it for it in pod["volumes"]}
    image = volumes[paths["/models/employment"]]["image"]
    assert image["reference"] == r.IMAGES["employment"]
    secret = volumes[paths[str(Path(TOKEN).parent)]]["secret"]
    assert secret["secretName"] == "attributions"


def test_the_monitor_reads_its_part(rendered: Rendered, tmp_path: Path) -> None:
    monitor = objects(rendered, naming.MODEL_MONITOR)
    file = tmp_path / "config.json"
    file.write_text(monitor["ConfigMap"]["data"]["config.json"])
    read = config.read(file)
    assert read.models[0].attributions == AttributionSettings(rows=500)
    assert str(read.attribution_tokens) == monitor_file.ATTRIBUTIONS_TOKEN
    pod = monitor["StatefulSet"]["spec"]["template"]["spec"]
    (volume,) = [it for it in pod["volumes"] if it["name"] == "attributions-token"]
    assert volume["secret"]["secretName"] == "attributions"


def test_defaults_are_the_same_on_both_sides(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    watched = [Watched("m", "i", ModelMonitoring(attributions={}))]
    file.write_text(monitor_file.text(MonitorSettings(attributions=JOB), watched))
    assert config.read(file).models[0].attributions == AttributionSettings()


def test_it_reaches_the_monitor_and_no_model_server(
    rendered: Rendered, found: dict[str, dict[str, Any]]
) -> None:
    policy = found["NetworkPolicy"]["spec"]
    assert "ingress" not in policy
    assert policy["egress"] == [
        network.allow_dns(),
        network.allow_to(network.pods_of(naming.MODEL_MONITOR), on=(9300,)),
    ]
    monitor = objects(rendered, naming.MODEL_MONITOR)["NetworkPolicy"]["spec"]
    peer = network.pods_of(naming.MODEL_ATTRIBUTIONS)
    assert peer in monitor["ingress"][0]["from"]


@pytest.mark.parametrize(
    ("monitor", "of_model", "reason"),
    [
        ({}, {"attributions": {}}, "no job computes the attributions of"),
        ({"attributions": JOB}, {}, "no model has monitor.attributions"),
        (
            {"attributions": {**JOB, "image": "no-such"}},
            {"attributions": {}},
            "no-such",
        ),
        ({"attributions": {}}, {"attributions": {}}, "token_secret"),
    ],
)
def test_what_does_not_fit_is_refused(
    monitor: dict[str, Any], of_model: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        made(monitor, **of_model)
    assert reason in str(raised.value)


def test_alerts_are_about_models_that_are_attributed() -> None:
    names = ("ModelAttributionDrift", "ModelAttributionsMissing")
    plain = [Watched("m", "i", ModelMonitoring())]
    wanted = [Watched("m", "i", ModelMonitoring(attributions={}))]
    for name in names:
        assert name not in alerts.rule_file("models", MonitorSettings(), plain)
        assert name in alerts.rule_file("models", MonitorSettings(), wanted)
