"""What Prometheus scrapes: pods that say so, kubelets, the API server, itself.

Target labels: `namespace`, `pod`, `node`, `app` (app.kubernetes.io/name), `instance`;
of model servers also `server` (its name: several may serve one model) and `revision`.
https://prometheus.io/docs/prometheus/latest/configuration/configuration/
"""

from __future__ import annotations

from typing import Any

from components.naming import MODEL_SERVER
from components.observability.settings import PrometheusSettings
from components.security import api_access
from components.yaml_text import written

RULES_FOLDER = "/etc/prometheus/rules.d"
TIMEOUT_SECONDS = 10
ANNOTATION = "__meta_kubernetes_pod_annotation_prometheus_io_"
LABEL = "__meta_kubernetes_pod_label_app_kubernetes_io_"
SIDECAR_PORT = "__meta_kubernetes_pod_annotation_slipway_dev_log_shipper_port"
"""Port of a pod's log shipper, which has metrics of its own."""
REVISION = "__meta_kubernetes_pod_label_slipway_dev_revision"
"""naming.REVISION_LABEL in Prometheus' spelling."""

CADVISOR_SERIES = (
    "container_cpu_usage_seconds_total",
    "container_cpu_cfs_periods_total",
    "container_cpu_cfs_throttled_periods_total",
    "container_memory_working_set_bytes",
    "container_network_receive_bytes_total",
    "container_network_transmit_bytes_total",
    "container_oom_events_total",
    "machine_cpu_cores",
    "machine_memory_bytes",
)
API_SERVER_SERIES = (
    "apiserver_request_total",
    "apiserver_request_duration_seconds_(sum|count)",
    "apiserver_current_inflight_requests",
    "etcd_request_duration_seconds_(sum|count)",
    "process_.*",
)
"""Metrics that a person or a rule uses, of some thousands."""


def configuration(settings: PrometheusSettings, alertmanager: str | None) -> str:
    """prometheus.yaml; `alertmanager` is its host:port."""
    interval = settings.scrape_interval_seconds
    found: dict[str, Any] = {
        "global": {
            "scrape_interval": f"{interval}s",
            "scrape_timeout": f"{min(interval, TIMEOUT_SECONDS)}s",
            "evaluation_interval": f"{interval}s",
        },
        "rule_files": [f"{RULES_FOLDER}/*.yaml"],
        "scrape_configs": [
            _itself(),
            _pods(),
            _log_shippers(),
            _cadvisor(settings),
            _api_server(settings),
        ],
    }
    if alertmanager:
        targets = {"static_configs": [{"targets": [alertmanager]}]}
        found["alerting"] = {"alertmanagers": [targets]}
    return written(found)


def _itself() -> dict[str, Any]:
    labels = {"app": "prometheus"}
    targets = [{"targets": ["127.0.0.1:9090"], "labels": labels}]
    return {"job_name": "prometheus", "static_configs": targets}


def _copy(source: str, target: str) -> dict[str, Any]:
    return {
        "source_labels": [source],
        "regex": "(.+)",
        "target_label": target,
        "action": "replace",
    }


def _keep(source: str, regex: str) -> dict[str, Any]:
    return {"source_labels": [source], "regex": regex, "action": "keep"}


def _running(port: str) -> list[dict[str, Any]]:
    """One target a running pod, whichever of its ports discovery found."""
    return [
        _keep("__meta_kubernetes_pod_phase", "Running"),
        {
            "source_labels": ["__meta_kubernetes_pod_ip", port],
            "regex": "([^;]+);([0-9]+)",
            "replacement": "$1:$2",
            "target_label": "__address__",
            "action": "replace",
        },
        _copy("__meta_kubernetes_namespace", "namespace"),
        _copy("__meta_kubernetes_pod_name", "pod"),
        _copy("__meta_kubernetes_pod_node_name", "node"),
    ]


def _log_shippers() -> dict[str, Any]:
    """The sidecars that send prediction logs, beside the servers of the same pods."""
    app = {"target_label": "app", "replacement": "log-shipper", "action": "replace"}
    return {
        "job_name": "log-shippers",
        "kubernetes_sd_configs": [{"role": "pod"}],
        "relabel_configs": [
            _keep(SIDECAR_PORT, "[0-9]+"),
            *_running(SIDECAR_PORT),
            app,
            *_of_model_servers(),
        ],
    }


def _pods() -> dict[str, Any]:
    """Pods of all namespaces by the annotations prometheus.io/scrape, port, path."""
    return {
        "job_name": "pods",
        "kubernetes_sd_configs": [{"role": "pod"}],
        "relabel_configs": [
            _keep(f"{ANNOTATION}scrape", "true"),
            _copy(f"{ANNOTATION}scheme", "__scheme__"),
            _copy(f"{ANNOTATION}path", "__metrics_path__"),
            *_running(f"{ANNOTATION}port"),
            _copy(f"{LABEL}name", "app"),
            *_of_model_servers(),
        ],
        "metric_relabel_configs": [
            # The pod that has the GPU, which the exporter labels like the target.
            *[
                {
                    "source_labels": ["app", f"exported_{what}"],
                    "regex": "dcgm-exporter;(.+)",
                    "target_label": f"gpu_{what}",
                    "action": "replace",
                }
                for what in ("namespace", "pod")
            ],
            # A model server's own labels are more exact than its pod's.
            _copy("exported_revision", "revision"),
            {"regex": "exported_revision", "action": "labeldrop"},
            # A server that also says where it runs says the same.
            {"regex": "exported_(namespace|pod|node)", "action": "labeldrop"},
        ],
    }


def _of_model_servers() -> list[dict[str, Any]]:
    """`revision`: its name in the settings, else the first digits of the digest.

    Other programs may use the label `server` differently, so theirs is unchanged.
    """
    labels = {
        f"{LABEL}instance": "server",
        f"{LABEL}version": "revision",
        REVISION: "revision",
    }
    return [
        {
            "source_labels": [f"{LABEL}name", source],
            "regex": f"{MODEL_SERVER};(.+)",
            "target_label": target,
            "action": "replace",
        }
        for source, target in labels.items()
    ]


def _credentials(*, insecure: bool) -> dict[str, Any]:
    tls: dict[str, Any] = {"ca_file": f"{api_access.PATH}/ca.crt"}
    if insecure:
        tls["insecure_skip_verify"] = True
    token = f"{api_access.PATH}/token"
    return {"scheme": "https", "tls_config": tls, "bearer_token_file": token}


def _only(series: tuple[str, ...]) -> list[dict[str, Any]]:
    pattern = "|".join(series)
    return [{"source_labels": ["__name__"], "regex": pattern, "action": "keep"}]


def _cadvisor(settings: PrometheusSettings) -> dict[str, Any]:
    """Use of processor, memory and network by container, from each kubelet."""
    return {
        "job_name": "cadvisor",
        "metrics_path": "/metrics/cadvisor",
        "scrape_interval": f"{settings.slow_scrape_interval_seconds}s",
        **_credentials(insecure=settings.kubelet_insecure_tls),
        "kubernetes_sd_configs": [{"role": "node"}],
        "relabel_configs": [
            {
                "source_labels": ["__meta_kubernetes_node_name"],
                "target_label": "node",
                "action": "replace",
            }
        ],
        "metric_relabel_configs": _only(CADVISOR_SERIES),
    }


def _api_server(settings: PrometheusSettings) -> dict[str, Any]:
    return {
        "job_name": "apiserver",
        "scrape_interval": f"{settings.slow_scrape_interval_seconds}s",
        **_credentials(insecure=False),
        "static_configs": [{"targets": ["kubernetes.default.svc:443"]}],
        "metric_relabel_configs": _only(API_SERVER_SERIES),
    }
