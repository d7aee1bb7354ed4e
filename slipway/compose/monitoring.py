"""Prometheus, Alertmanager and the alert recorder, as the platform stack has them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from components import naming
from components.observability import (
    alert_recorder,
    alertmanager,
    prometheus,
    scrape,
)
from components.yaml_text import read, written
from slipway.compose import gateway, reach
from slipway.compose.composition import Composition
from slipway.compose.container import Container, only_container
from slipway.compose.objects import (
    Object,
    Objects,
    name_of,
    namespace_of,
    pod_metadata,
    pod_spec,
)
from slipway.compose.tools import Service

NETWORK = "monitoring"
RULES = "rules"
RELOADER = "rules-reloader"
JOB = "pods"
REFRESH = "5s"
PORTS = {
    "prometheus": ("SLIPWAY_PROMETHEUS_PORT", 9090),
    "alertmanager": ("SLIPWAY_ALERTMANAGER_PORT", 9093),
    "alert-recorder": ("SLIPWAY_ALERTS_PORT", alert_recorder.PORT),
}
"""Ports of the services that `--monitoring` publishes, as in the lab."""
_META = "__meta_kubernetes_"


@dataclass(frozen=True)
class Target:
    """A service whose containers are scraped as a cluster's pods would be."""

    service: str
    namespace: str
    pods: Mapping[str, Any]
    """Labels and annotations of the pods."""


def add(
    composition: Composition,
    platform: Objects,
    models: Objects,
    *,
    publish: bool,
) -> None:
    """Adds what of monitoring the platform stack has."""
    namespace = naming.MONITORING_NAMESPACE
    workloads = {
        name_of(workload): workload
        for workload in platform.kind("Deployment", "StatefulSet")
        if namespace_of(workload) == namespace and name_of(workload) in PORTS
    }
    if "prometheus" not in workloads:
        composition.add_remark(
            "The platform stack has no Prometheus: nothing is monitored."
        )
        return
    composition.networks[NETWORK] = {"internal": True}
    targets = [Target("gateway", naming.GATEWAY_NAMESPACE, gateway.pods())]
    targets += [
        Target(name_of(one), namespace_of(one), pod_metadata(one))
        for one in (
            *models.kind("Deployment", "StatefulSet"),
            *(w for name, w in workloads.items() if name != "prometheus"),
        )
    ]
    for name, workload in workloads.items():
        if name == "prometheus":
            service = _prometheus(composition, platform, models, workload, targets)
        else:
            container = only_container(workload)
            service = Container(composition, platform, workload, container).service()
        service["networks"] = {
            NETWORK: {"aliases": _aliases(platform, workload)},
            **service.get("networks", {}),
        }
        if _calls_out(composition, name):
            service |= {"dns": None}
            service["networks"][gateway.OUTSIDE] = {}
        if publish:
            variable, port = PORTS[name]
            service["ports"] = [gateway.published(variable, port, port)]
            service["networks"][gateway.OUTSIDE] = {}
        composition.add(name, service)
    composition.services[gateway.SERVICE]["networks"][NETWORK] = {}
    composition.add_remark(
        "Prometheus scrapes the services; CPU and memory of containers, which "
        "kubelets measure, and the API server's metrics are missing."
    )


def _calls_out(composition: Composition, name: str) -> bool:
    """Return whether a service posts alerts to an address outside the project."""
    text = composition.files.get(f"{name}/{alertmanager.CONFIG_FILE}", "{}")
    receivers = read(text, "alertmanager.yaml").get("receivers", [])
    hooks = [hook for one in receivers for hook in one.get("webhook_configs", [])]
    hosts = [urlsplit(hook["url"]).hostname or "" for hook in hooks]
    return any(not host.endswith(".svc") for host in hosts)


def _aliases(platform: Objects, workload: Object) -> list[str]:
    """The names that a cluster's DNS gives, which the configurations use."""
    return [
        f"{name_of(service)}.{namespace_of(service)}.svc"
        for service in platform.services_of(workload)
    ]


def _prometheus(
    composition: Composition,
    platform: Objects,
    models: Objects,
    workload: Object,
    targets: list[Target],
) -> Service:
    """Without the reloader and the API server's token, with the rules as files."""
    for objects in (platform, models):
        for config in objects.kind("ConfigMap"):
            if config["metadata"].get("labels", {}).get(naming.RULES_LABEL) == "true":
                for name, text in config["data"].items():
                    composition.files[f"{RULES}/{name}"] = text
    workload = copy.deepcopy(workload)
    container = only_container(workload, "prometheus")
    pod_spec(workload)["containers"] = [container]
    # Nothing reloads it: rules change as its other files do, by a start.
    container["args"] = [a for a in container["args"] if a != "--web.enable-lifecycle"]
    kept = (prometheus.CONFIG, prometheus.DATA, scrape.RULES_FOLDER)
    mounts = [m for m in container["volumeMounts"] if m["mountPath"] in kept]
    container["volumeMounts"] = mounts
    folder = name_of(workload)
    path = f"{folder}/{prometheus.CONFIG_FILE}"
    found = Container(
        composition,
        platform,
        workload,
        container,
        data={prometheus.CONFIG: folder, scrape.RULES_FOLDER: RULES},
    )
    made = platform.find("ConfigMap", folder, namespace_of(workload))
    assert made, "the component makes it beside the StatefulSet"
    text = made["data"][prometheus.CONFIG_FILE]
    composition.files[path] = configuration(text, targets)
    service = found.service()
    service["networks"] = {
        reach.network(name_of(one)): {}
        for one in models.kind("Deployment", "StatefulSet")
    }
    return service


def configuration(text: str, targets: list[Target]) -> str:
    """prometheus.yaml of the cluster with Docker's DNS in the API server's place.

    Each service gets the labels that Kubernetes' discovery would give to its pods, and
    after that the cluster's own relabelling: so series have the same labels.
    """
    found = read(text, "prometheus.yaml")
    jobs = {job["job_name"]: job for job in found["scrape_configs"]}
    kept = [job for job in jobs.values() if not _asks_the_cluster(job)]
    found["scrape_configs"] = kept + [_job(jobs[JOB], target) for target in targets]
    return written(found)


def _asks_the_cluster(job: dict[str, Any]) -> bool:
    targets = [t for one in job.get("static_configs", []) for t in one["targets"]]
    return "kubernetes_sd_configs" in job or any(".svc" in t for t in targets)


def _job(pods: dict[str, Any], target: Target) -> dict[str, Any]:
    annotations = dict(target.pods.get("annotations", {}))
    port = int(annotations["prometheus.io/port"])
    facts = {
        f"{_META}namespace": target.namespace,
        f"{_META}pod_phase": "Running",
        **{f"{_META}pod_annotation_{_safe(k)}": v for k, v in annotations.items()},
        **{
            f"{_META}pod_label_{_safe(k)}": v
            for k, v in target.pods.get("labels", {}).items()
        },
    }
    said = [
        {"target_label": label, "replacement": value.replace("$", "$$")}
        for label, value in facts.items()
        if any(label in _sources(rule) for rule in pods["relabel_configs"])
    ]
    address = {"source_labels": ["__address__"], "regex": "(.+):[0-9]+"}
    said += [
        {**address, "target_label": f"{_META}pod_ip", "replacement": "$1"},
        {
            **address,
            "target_label": f"{_META}pod_name",
            "replacement": f"{target.service}-$1",
        },
    ]
    more = {k: v for k, v in pods.items() if k.endswith("relabel_configs")}
    return {
        "job_name": target.service,
        "dns_sd_configs": [
            {
                "names": [target.service],
                "type": "A",
                "port": port,
                "refresh_interval": REFRESH,
            }
        ],
        **more,
        "relabel_configs": [
            *said,
            *pods["relabel_configs"],
            {"target_label": "job", "replacement": pods["job_name"]},
        ],
    }


def _sources(rule: dict[str, Any]) -> list[str]:
    found: list[str] = rule.get("source_labels", [])
    return found


def _safe(name: str) -> str:
    """A name as Prometheus' discovery spells it: `app.kubernetes.io/name`."""
    return "".join(c if c.isalnum() else "_" for c in name)
