"""Requirements for a platform in production (`production: true`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from components.observability.settings import MonitoringSettings
from components.platform.tls_settings import TlsSettings
from components.settings import ABSENT, Problem

LEAST_PROXIES = 2
LEAST_RETENTION_HOURS = 15 * 24
"""Two weeks and a day: each weekday can be compared with the one before."""
OR_ELSE = "or set production: false"
INTERNAL = {
    "service.beta.kubernetes.io/aws-load-balancer-internal": "true",
    "service.beta.kubernetes.io/aws-load-balancer-scheme": "internal",
    "networking.gke.io/load-balancer-type": "Internal",
    "service.beta.kubernetes.io/azure-load-balancer-internal": "true",
}
"""Annotations by which clouds make a load balancer that the internet cannot reach."""


class _MetricsServer(Protocol):
    @property
    def enabled(self) -> bool: ...
    @property
    def kubelet_insecure_tls(self) -> bool: ...


class _Gateway(Protocol):
    @property
    def enabled(self) -> bool: ...
    @property
    def service(self) -> str: ...
    @property
    def service_annotations(self) -> Mapping[str, str]: ...
    @property
    def replicas(self) -> int: ...
    @property
    def tls(self) -> TlsSettings | None: ...


def problems(
    gateway: _Gateway, monitoring: MonitoringSettings, metrics_server: _MetricsServer
) -> Iterator[Problem]:
    """Report where the settings do not meet the requirements."""
    if gateway.enabled:
        yield from _gateway(gateway)
    if monitoring.prometheus.enabled:
        yield from _samples(monitoring)
    yield from _node_ports(monitoring)
    yield from _kubelets(monitoring, metrics_server)


def _gateway(gateway: _Gateway) -> Iterator[Problem]:
    if gateway.replicas < LEAST_PROXIES:
        yield Problem(
            path="gateway.replicas",
            value=gateway.replicas,
            reason="production: if the only proxy or its node fails, no model can be "
            "reached",
            fix=f"give at least {LEAST_PROXIES}, {OR_ELSE}",
        )
    given = gateway.service_annotations
    internal = any(given.get(name) == value for name, value in INTERNAL.items())
    tls = gateway.tls
    # With a certificate alone, port 80 goes on to answer, whoever ends TLS.
    encrypted = tls is not None and tls.redirect
    if gateway.service == "LoadBalancer" and not internal and not encrypted:
        yield Problem(
            path="gateway.tls" if tls is None else "gateway.tls.redirect",
            value=ABSENT if tls is None else tls.redirect,
            reason="production: the load balancer faces the internet, and keys, tokens "
            "and requests would cross it in plain text",
            fix="give gateway.tls with redirect: true, or make the load balancer "
            "internal by gateway.service_annotations, for example "
            f'{next(iter(INTERNAL))}: "true", {OR_ELSE}',
        )


def _samples(monitoring: MonitoringSettings) -> Iterator[Problem]:
    prometheus = monitoring.prometheus
    if prometheus.retention_hours < LEAST_RETENTION_HOURS:
        yield Problem(
            path="monitoring.prometheus.retention_hours",
            value=prometheus.retention_hours,
            reason="production: incidents are often looked into days later, and "
            "nothing to compare them with would be left",
            fix=f"give at least {LEAST_RETENTION_HOURS}, {OR_ELSE}",
        )
    if prometheus.storage is None:
        yield Problem(
            path="monitoring.prometheus.storage",
            value=ABSENT,
            reason="production: all samples would end with the pod, as at each drain "
            "of its node",
            fix=f"give a size, such as {{size: 50Gi}}, {OR_ELSE}",
        )


def _node_ports(monitoring: MonitoringSettings) -> Iterator[Problem]:
    """Report node ports of programs without authentication."""
    for name, part, harm in (
        ("prometheus", monitoring.prometheus, "read all metrics, and stop Prometheus"),
        ("alertmanager", monitoring.alertmanager, "silence every alert"),
        (
            "alert_recorder",
            monitoring.alert_recorder,
            "read the alerts, and write others beside them",
        ),
    ):
        if part.enabled and part.node_port:
            yield Problem(
                path=f"monitoring.{name}.node_port",
                value=part.node_port,
                reason=f"production: anyone who can reach a node could {harm}, "
                "without a password",
                fix=f"remove it, and use `kubectl port-forward`, {OR_ELSE}",
            )


def _kubelets(
    monitoring: MonitoringSettings, metrics_server: _MetricsServer
) -> Iterator[Problem]:
    """Report unverified kubelet certificates."""
    for path, part in (
        ("metrics_server", metrics_server),
        ("monitoring.prometheus", monitoring.prometheus),
    ):
        if part.enabled and part.kubelet_insecure_tls:
            yield Problem(
                path=f"{path}.kubelet_insecure_tls",
                value=True,
                reason="production: anyone who answers at a node's address would get a "
                "token of the API server",
                fix="remove it, and let the cluster's CA sign the kubelets' "
                f"certificates, {OR_ELSE}",
            )
