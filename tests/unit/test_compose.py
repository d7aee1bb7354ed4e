"""A models stack as a Compose project: same inside, closed outside, nothing lost."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from components import naming
from components.observability import scrape
from components.settings import SettingsError
from slipway.compose import container, monitor, monitoring, quantities, servers, stack
from slipway.compose.command import command
from slipway.compose.composition import FILE, Composition
from slipway.compose.objects import Object, Objects, name_of
from tests.support import composed
from tests.support import rendered as r


def services() -> dict[str, Any]:
    found: dict[str, Any] = composed.project()["services"]
    return found


@pytest.fixture(scope="module")
def models() -> Objects:
    return monitor.without(Composition(composed.LAB), composed.objects(composed.LAB))


def pod_container(workload: Object) -> Object:
    return container.only_container(workload)


# The same inside


def test_every_model_server_is_there_with_image_settings_and_grace(
    models: Objects,
) -> None:
    workloads = models.kind("Deployment")
    assert workloads
    for workload in workloads:
        service, kept = services()[name_of(workload)], pod_container(workload)
        assert service["image"] == kept["image"]
        plain = {e["name"]: e["value"] for e in kept["env"] if "value" in e}
        said = service.get("environment", {})
        assert plain.items() <= said.items()
        assert {e["name"] for e in kept["env"]} == set(said)
        pod = workload["spec"]["template"]["spec"]
        seconds = pod["terminationGracePeriodSeconds"]
        assert service["stop_grace_period"] == f"{seconds}s"


def test_models_come_from_their_images_before_their_server_starts(
    models: Objects,
) -> None:
    for workload in models.kind("Deployment"):
        service = services()[name_of(workload)]
        wanted = {
            mount["mountPath"]: volume["image"]["reference"]
            for volume in workload["spec"]["template"]["spec"]["volumes"]
            if "image" in volume
            for mount in pod_container(workload)["volumeMounts"]
            if mount["name"] == volume["name"]
        }
        assert wanted
        for target, reference in wanted.items():
            (mount,) = [m for m in service["volumes"] if m["target"] == target]
            assert mount["read_only"]
            filling = services()[mount["source"]]
            assert filling["image"] == reference
            assert service["depends_on"][mount["source"]] == {
                "condition": "service_completed_successfully"
            }


def test_memory_holds_what_kubernetes_keeps_on_disk() -> None:
    service = services()["employment"]
    sizes = [int(t.partition("size=")[2].partition("m")[0]) for t in service["tmpfs"]]
    assert all(",uid=10001,gid=10001," in t for t in service["tmpfs"])
    memory = service["deploy"]["resources"]["limits"]["memory"]
    assert memory == f"{384 + sum(sizes)}M"


def test_rules_are_the_clusters_own_files(models: Objects) -> None:
    for config in models.kind("ConfigMap"):
        for name, text in config["data"].items():
            assert composed.composed().files[f"rules/{name}"] == text
    assert "rules/platform.yaml" in composed.composed().files


def test_neither_monitor_nor_log_shippers_run() -> None:
    assert not [name for name in services() if "monitor" in name or "console" in name]
    assert "log-shipper" not in composed.composed().text()
    assert "rules/models.model-monitor.yaml" not in composed.composed().files
    assert "runs on a cluster only" in " ".join(composed.composed().limits)


def test_another_configuration_starts_its_service_anew() -> None:
    labels = {
        name: service["labels"].get(container.CONFIG_LABEL)
        for name, service in services().items()
        if any(v["type"] == "bind" for v in service.get("volumes", []))
    }
    assert set(labels) == {"gateway", "prometheus", "alertmanager"}
    assert all(labels.values())


# Closed outside


def test_no_container_has_rights_or_can_starve_the_machine() -> None:
    for name, service in services().items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        limits = service["deploy"]["resources"]["limits"]
        assert {"cpus", "memory", "pids"} == set(limits), name
        assert service["logging"]["options"]["max-size"] == "10m", name
        assert "@sha256:" in service["image"], name
        assert service.get("dns") == ["127.0.0.1"] or service["network_mode"] == "none"
        assert not {"privileged", "cap_add", "pid", "ipc"} & set(service) - {"cap_add"}


def test_root_runs_only_once_and_without_a_network() -> None:
    for name, service in services().items():
        if service["user"].startswith("0:"):
            assert service["restart"] == "no", name
            assert service["network_mode"] == "none", name
        else:
            assert service["restart"] == "unless-stopped", name
            assert "cap_add" not in service, name
    added = {s["cap_add"][0] for s in services().values() if "cap_add" in s}
    assert added == {"CHOWN"}


def test_only_the_gateway_is_published_and_only_on_loopback() -> None:
    ports = {name: s["ports"] for name, s in services().items() if "ports" in s}
    local = "${SLIPWAY_ADDRESS:-127.0.0.1}:${SLIPWAY_PORT:-8080}:10080"
    assert ports == {"gateway": [local]}


def test_monitoring_is_published_where_asked_for() -> None:
    published = composed.composed(monitoring=True).services
    assert {name for name, s in published.items() if "ports" in s} == {
        "gateway",
        *monitoring.PORTS,
    }
    for name in monitoring.PORTS:
        (port,) = published[name]["ports"]
        assert port.startswith("${SLIPWAY_ADDRESS:-127.0.0.1}:")


def test_a_model_server_shares_a_network_with_gateway_and_prometheus_alone() -> None:
    networks = composed.project()["networks"]
    for name, network in networks.items():
        inside = {n for n, s in services().items() if name in s.get("networks", {})}
        if name.startswith("model-"):
            assert network["internal"] is True
            server = name.removeprefix("model-")
            assert inside == {server, "gateway", "prometheus"}
    assert networks["monitoring"]["internal"] is True
    outside = {n for n, s in services().items() if "outside" in s.get("networks", {})}
    assert outside == {"gateway"}


# Monitoring


def test_series_bear_the_labels_of_the_cluster() -> None:
    """Prometheus' relabelling, played through for a container's address."""
    config = yaml.safe_load(composed.files()["prometheus/prometheus.yaml"])
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    assert {"prometheus", "gateway", "employment", "alertmanager"} <= set(jobs)
    assert not [job for job in jobs.values() if "kubernetes_sd_configs" in job]
    found = relabelled(jobs["employment"], "198.19.3.4:8080")
    assert found.pop("__address__") == "198.19.3.4:8080"
    assert found.pop("__metrics_path__") == "/metrics"
    assert {
        "namespace": "models",
        "pod": "employment-198.19.3.4",
        "app": "model-server",
        "job": "pods",
    }.items() <= found.items()
    gateway = relabelled(jobs["gateway"], "198.19.3.5:19001")
    assert gateway["namespace"] == naming.GATEWAY_NAMESPACE
    assert gateway["app"] == "envoy"
    assert gateway["__metrics_path__"] == "/stats/prometheus"


def relabelled(job: dict[str, Any], address: str) -> dict[str, str]:
    """What a target's labels are in the end, by Prometheus' rules of relabelling."""
    labels = {"__address__": address}
    for one in job["relabel_configs"]:
        value = ";".join(labels.get(n, "") for n in one.get("source_labels", []))
        match = re.fullmatch(one.get("regex", "(.*)"), value, re.DOTALL)
        action = one.get("action", "replace")
        if action == "keep":
            assert match, one
        elif action == "replace" and match:
            text = one.get("replacement", "$1").replace("$$", "\0")
            filled = match.expand(re.sub(r"\$(\d)", r"\\\1", text))
            labels[one["target_label"]] = filled.replace("\0", "$")
    return {k: v for k, v in labels.items() if not k.startswith("__meta_") and v}


def test_alerts_go_where_the_clusters_configuration_says() -> None:
    config = yaml.safe_load(composed.files()["prometheus/prometheus.yaml"])
    (manager,) = config["alerting"]["alertmanagers"]
    (target,) = manager["static_configs"][0]["targets"]
    aliases = services()["alertmanager"]["networks"]["monitoring"]["aliases"]
    assert target.rpartition(":")[0] in aliases
    receivers = yaml.safe_load(composed.files()["alertmanager/alertmanager.yaml"])
    (hook,) = receivers["receivers"][0]["webhook_configs"]
    recorder = services()["alert-recorder"]["networks"]["monitoring"]["aliases"]
    assert hook["url"].split("/")[2].partition(":")[0] in recorder


def test_alerts_for_the_outside_get_there() -> None:
    below = copy.deepcopy(composed.objects("platform.lab"))
    config = below.find("ConfigMap", "alertmanager", naming.MONITORING_NAMESPACE)
    assert config
    name = "alertmanager.yaml"
    text = config["data"][name].replace("alert-recorder.slipway-monitoring.svc", "a.b")
    config["data"][name] = text
    with composed.locked(r.IMAGES):
        project = stack.translated(composed.LAB, composed.objects(composed.LAB), below)
    service = project.services["alertmanager"]
    assert "outside" in service["networks"]
    assert "dns" not in service, "its name must be resolved"


def test_prometheus_cannot_be_stopped_by_who_reaches_it() -> None:
    service = services()["prometheus"]
    assert "--web.enable-lifecycle" not in service["command"]
    assert {m["target"] for m in service["volumes"] if m["type"] == "bind"} == {
        "/etc/prometheus/config",
        scrape.RULES_FOLDER,
    }


# Nothing is left out


def changed(models: Objects, **container_fields: Any) -> Objects:
    """The lab's models with something else in the first server's container."""
    every = copy.deepcopy(models.all)
    workload = next(one for one in every if one["kind"] == "Deployment")
    pod_container(workload).update(container_fields)
    return Objects(every)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"env": [{"name": "KEY", "valueFrom": {"configMapKeyRef": {}}}]},
            "its source does not exist in Compose",
        ),
        (
            {"env": [{"name": "URL", "value": "db://$(HOST)"}]},
            "Compose does not expand variables inside variables",
        ),
        (
            {"readinessProbe": {"exec": {"command": ["true"]}}},
            "it is not an HTTP probe",
        ),
        ({"lifecycle": {"preStop": {"exec": {}}}}, "does not support it"),
        (
            {"resources": {"limits": {"example.com/fpga": 1}}},
            "Compose does not support this resource",
        ),
        (
            {"volumeMounts": [{"name": "unknown", "mountPath": "/a"}]},
            "a single machine has no such volume",
        ),
    ],
)
def test_what_cannot_be_translated_is_refused(
    models: Objects, fields: dict[str, Any], said: str
) -> None:
    with composed.locked(r.IMAGES), pytest.raises(SettingsError, match=said) as caught:
        servers.add(Composition(composed.LAB), changed(models, **fields))
    assert "Deployment models/" in str(caught.value)


def with_gpus(models: Objects, replicas: int) -> Objects:
    """The lab's models, each with two GPUs and with so many replicas."""
    every = copy.deepcopy(models.all)
    limits = {"cpu": "4", "memory": "8Gi", "nvidia.com/gpu": "2"}
    for one in every:
        if one["kind"] == "Deployment":
            pod_container(one)["resources"] = {"limits": limits}
            one["spec"]["replicas"] = replicas
        for least in ("minReplicas", "minReplicaCount"):
            if least in one.get("spec", {}):
                one["spec"][least] = replicas
    return Objects(every)


def test_each_server_reserves_gpus_of_its_own(models: Objects) -> None:
    composition = Composition(composed.LAB)
    with composed.locked(r.IMAGES):
        found = servers.add(composition, with_gpus(models, 1))
    assert len(found) > 1
    for number, one in enumerate(found):
        resources = composition.services[one["metadata"]["name"]]["deploy"]["resources"]
        assert resources["reservations"]["devices"] == [
            {
                "driver": "nvidia",
                "device_ids": [str(2 * number), str(2 * number + 1)],
                "capabilities": ["gpu"],
            }
        ]
    assert any("NVIDIA" in line for line in composition.limits)
    assert not any("--scale" in line for line in composition.limits)


def test_replicas_that_would_share_gpus_are_refused(models: Objects) -> None:
    with (
        composed.locked(r.IMAGES),
        pytest.raises(SettingsError, match="the same GPUs"),
    ):
        servers.add(Composition(composed.LAB), with_gpus(models, 2))


def test_dollars_reach_the_program(models: Objects) -> None:
    composition = Composition(composed.LAB)
    env = [{"name": "TEMPLATE", "value": "${HOME}"}]
    with composed.locked(r.IMAGES):
        servers.add(composition, changed(models, env=env))
    said = [s.get("environment", {}) for s in composition.services.values()]
    assert {"TEMPLATE": "$${HOME}"} in said


def test_two_services_of_one_name_are_refused() -> None:
    composition = Composition(composed.LAB)
    composition.add("gateway", {"image": "a"})
    with pytest.raises(SettingsError, match="another service of this project"):
        composition.add("gateway", {"image": "b"})


def test_a_cluster_cannot_be_composed() -> None:
    with pytest.raises(SettingsError, match=r"give models\.lab"):
        stack.compose("platform.lab")


def test_what_is_different_is_reported_and_written() -> None:
    lines = composed.composed().limits
    assert any("employment always has 2 replicas" in one for one in lines)
    assert any("no rolling update" in one for one in lines)
    for line in lines:
        assert f"#   {line}\n" in composed.files()[FILE]


def test_the_command_writes_and_clears_what_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = composed.composed()
    stale, own = tmp_path / "rules" / "gone.yaml", tmp_path / "rules" / "mine.yaml"
    stale.parent.mkdir()
    stale.write_text("# Written by `slipway compose models.lab`; do not edit.\n")
    own.write_text("groups: []\n")
    monkeypatch.setattr("slipway.compose.command.compose", lambda *_, **__: made)
    done = CliRunner().invoke(command, [composed.LAB, "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert not stale.exists()
    assert own.exists()
    written = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.yaml")}
    assert written - {"rules/mine.yaml"} == set(composed.files())
    assert oct((tmp_path / FILE).stat().st_mode & 0o777) == "0o644"


@pytest.mark.parametrize(
    ("quantity", "mib"), [("512Mi", 512), ("2Gi", 2048), ("1M", 1), ("1048577", 2)]
)
def test_memory_quantities(quantity: str, mib: int) -> None:
    assert quantities.mebibytes(quantity) == mib


@pytest.mark.parametrize(("quantity", "cores"), [("500m", 0.5), ("2", 2.0)])
def test_cpu_quantities(quantity: str, cores: float) -> None:
    assert quantities.cpus(quantity) == cores
