"""Settings of monitoring."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from components.cluster.nodes.taint import LabelKey, NodeValue
from components.part_settings import NodePort, PartSettings, Port
from components.setting_secrets import NOT_SHOWN, Encrypted, Secret, hidden
from components.setting_types import Decimal, DnsSubdomain, Namespace, Whole
from components.settings import Problem, Settings, refuse

SCRAPE_SECONDS = 15
"""Default interval at which Prometheus scrapes pods."""
LEAST_SCRAPES = 4
"""Scrapes in the window of a rate: two are needed, and one in two may fail or be
late."""
_QUANTITY = re.compile(r"[1-9][0-9]*(Mi|Gi|Ti)")


def _quantity(value: str) -> str:
    if not _QUANTITY.fullmatch(value):
        refuse("it is not a size", "give a whole number with Mi, Gi or Ti: 20Gi")
    return value


_URL = re.compile(
    r"(?P<scheme>https?)://([^\s/@]+@)?(\[[0-9a-fA-F:.]+\]|[^\s/:@\[\]]+)"
    r"(:(?P<port>[0-9]{1,5}))?(/\S*)?"
)
_PORTS = {"http": 80, "https": 443}


def _webhook(value: SecretStr) -> SecretStr:
    if not isinstance(value, Encrypted) and not _URL.fullmatch(
        value.get_secret_value()
    ):
        refuse("it is not an address", "give http://host/path or https://host/path")
    return value


Webhook = Annotated[Secret, AfterValidator(_webhook)]


_HOST_PORT = re.compile(r"([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\]):(?P<port>[0-9]{1,5})")


def _host_port(value: str) -> str:
    found = _HOST_PORT.fullmatch(value)
    if not found or not 0 < int(found["port"]) <= 65535:
        refuse(
            "it is not host:port",
            "give one like alertmanager.monitoring.svc:9093, without http:// and a "
            "password",
        )
    return value


class Storage(Settings):
    """A volume that outlives the pod."""

    size: Annotated[str, AfterValidator(_quantity)]
    """Size of the volume, for example 20Gi."""
    storage_class: DnsSubdomain | None = None
    """StorageClass of the volume; default: the cluster's default one."""


class PrometheusSettings(PartSettings):
    """Scraping and rules."""

    enabled: bool = True
    """False where the cluster has a Prometheus that scrapes annotated pods."""
    image: str = "prometheus"
    """With promtool and the reloader of rules. A short name of images.lock, or by
    digest."""
    scrape_interval_seconds: Annotated[Whole, Field(ge=1, le=300)] = SCRAPE_SECONDS
    """How often pods are scraped and rules evaluated."""
    slow_scrape_interval_seconds: Annotated[Whole, Field(ge=5, le=300)] = 30
    """How often kubelets and the API server are scraped: their answers are large."""
    retention_hours: Annotated[Whole, Field(ge=1, le=24 * 365)] = 24 * 15
    """How long samples are kept."""
    storage: Storage | None = None
    """Volume of the samples; without it, they are lost with the pod."""
    node_port: NodePort = None
    """Port on every node, without access control."""
    kubelet_insecure_tls: bool = False
    """Accept kubelets' self-signed certificates."""
    host_ports: tuple[Port, ...] = ()
    """Ports of host-network pods to scrape, such as 9100 of a node exporter. Such pods
    have their node's address, so network policies cannot select them."""

    def contradictions(self) -> Iterator[Problem]:
        yield from super().contradictions()
        if self.slow_scrape_interval_seconds < self.scrape_interval_seconds:
            yield Problem(
                path="slow_scrape_interval_seconds",
                value=self.slow_scrape_interval_seconds,
                reason="it is less than scrape_interval_seconds "
                f"({self.scrape_interval_seconds})",
                fix="give at least this value",
            )


class AlertmanagerSettings(PartSettings):
    """Grouping and receivers of alerts."""

    enabled: bool = True
    """False if the cluster has an Alertmanager; then set `address`."""
    address: Annotated[str, AfterValidator(_host_port)] | None = None
    """host:port of an existing Alertmanager."""
    image: str = "alertmanager"
    """Alertmanager with its templates. A short name of images.lock, or by digest."""
    group_wait_seconds: Annotated[Whole, Field(ge=0, le=3600)] = 30
    """How long the first alert of a group waits for others."""
    group_interval_seconds: Annotated[Whole, Field(ge=1, le=86400)] = 300
    """Minimum time between two messages about a group."""
    repeat_interval_minutes: Annotated[Whole, Field(ge=1, le=60 * 24 * 7)] = 240
    """Interval at which an alert that is still firing is sent again."""
    webhooks: Annotated[tuple[Webhook, ...], BeforeValidator(hidden)] = ()
    """URLs that get each message as JSON, in addition to the alert recorder. They are
    encrypted in the stack file (`pulumi config set --path --secret`), because anyone
    who knows such a URL can usually write to it."""
    webhook_ports: Annotated[tuple[Port, ...], Field(min_length=1)] = (443,)
    """Ports that Alertmanager may call, besides its own namespace's. Network policies
    see a pod's port: for a Service of the cluster give the target port of its pods as
    well as that of the address."""
    storage: Storage | None = None
    """Volume of the silences; without it, they are lost with the pod."""
    node_port: NodePort = None
    """Port on every node, without access control."""

    def contradictions(self) -> Iterator[Problem]:
        yield from super().contradictions()
        if self.enabled and self.address:
            yield Problem(
                path="address",
                value=self.address,
                reason="it names an Alertmanager, but enabled: true creates another",
                fix="set enabled: false, or remove address",
            )
        yield from self._ports()

    def _ports(self) -> Iterator[Problem]:
        """Addresses that the network policy would not let Alertmanager reach."""
        for number, webhook in enumerate(self.webhooks):
            found = _URL.fullmatch(webhook.get_secret_value())
            if isinstance(webhook, Encrypted) or not found:
                continue
            port = int(found["port"] or _PORTS[found["scheme"]])
            if port not in self.webhook_ports:
                yield Problem(
                    path=f"webhooks.{number}",
                    value=NOT_SHOWN,
                    reason=f"its port {port} is not in webhook_ports, so the network "
                    "policy would stop every message",
                    fix=f"add {port} to webhook_ports",
                )


class AlertRecorderSettings(PartSettings):
    """A receiver that stores alerts, for inspection and tests."""

    image: str = "alert-recorder"
    """The recorder's image. A short name of images.lock, or by digest."""
    node_port: NodePort = None
    """Port on every node, without access control."""


class AlertThresholds(Settings):
    """When the platform's own alerts fire."""

    target_down_seconds: Annotated[Whole, Field(ge=5, le=3600)] = 120
    """How long a scrape target may be down before the alert fires."""
    gateway_error_ratio: Annotated[Decimal, Field(gt=0, lt=1)] = 0.05
    """Share of the gateway's answers that may be 5xx."""
    gateway_error_seconds: Annotated[Whole, Field(ge=5, le=3600)] = 120
    """How long the share must be above it, in seconds."""
    window_seconds: Annotated[Whole, Field(ge=20, le=3600)] = 300
    """Window of rates, in seconds: at least four scrapes."""
    gpu_failed_seconds: Annotated[Whole, Field(ge=600, le=7 * 86_400)] = 86_400
    """How long the alert keeps a GPU's failure, in seconds, or until its node is
    removed: the GPU reports only its last error."""
    gpu_temperature_celsius: Annotated[Whole, Field(ge=40, le=120)] = 85
    """Highest temperature of a GPU, in degrees Celsius. `nvidia-smi --query
    --display=TEMPERATURE` shows the temperature at which yours slows down."""
    gpu_memory_percent: Annotated[Decimal, Field(gt=0, lt=100)] = 98.0
    """Share of a GPU's memory that may be in use, in percent. vLLM takes its share at
    once (`gpu_memory_percent` of the model)."""
    gpu_seconds: Annotated[Whole, Field(ge=30, le=86_400)] = 300
    """How long temperature or memory must be above its limit, in seconds."""


class DashboardSettings(Settings):
    """Dashboards as ConfigMaps, for the sidecar of a Grafana that is there."""

    enabled: bool = False
    """True if a Grafana loads dashboards from ConfigMaps; otherwise `slipway
    dashboards` writes them as files."""
    labels: Annotated[dict[LabelKey, NodeValue], Field(min_length=1)] = Field(
        default={"grafana_dashboard": "1"}, validate_default=True
    )
    """Labels by which the sidecar selects ConfigMaps; the default is its chart's."""
    annotations: dict[LabelKey, str] = Field(default={}, validate_default=True)
    """Annotations for the sidecar, for example `grafana_folder: Slipway`, if this is
    its chart's folderAnnotation."""
    namespace: Namespace | None = None
    """Namespace that the sidecar watches; it must exist. Default: that of
    Prometheus."""


class MonitoringSettings(Settings):
    """Prometheus, Alertmanager, the alert recorder, alerts and dashboards."""

    prometheus: PrometheusSettings = Field(default={}, validate_default=True)
    """Scraping and rules."""
    alertmanager: AlertmanagerSettings = Field(default={}, validate_default=True)
    """Grouping and receivers of alerts."""
    alert_recorder: AlertRecorderSettings = Field(default={}, validate_default=True)
    """A receiver that stores the alerts."""
    alerts: AlertThresholds = Field(default={}, validate_default=True)
    """When the platform's own alerts fire."""
    dashboards: DashboardSettings = Field(default={}, validate_default=True)
    """Dashboards about the cluster."""
    runbooks: str = "docs/runbooks"
    """Where the runbooks can be read; alerts link to <runbooks>/<alert>.md."""

    def contradictions(self) -> Iterator[Problem]:
        prometheus = self.prometheus
        least = LEAST_SCRAPES * prometheus.scrape_interval_seconds
        if prometheus.enabled and self.alerts.window_seconds < least:
            yield Problem(
                path="alerts.window_seconds",
                value=self.alerts.window_seconds,
                reason="it holds fewer than four scrapes of "
                f"{prometheus.scrape_interval_seconds} s",
                fix=f"give at least {least}",
            )
        kept = 3600 * prometheus.retention_hours
        asked = "gpu_failed_seconds" in self.alerts.model_fields_set
        if asked and prometheus.enabled and self.alerts.gpu_failed_seconds > kept:
            yield Problem(
                path="alerts.gpu_failed_seconds",
                value=self.alerts.gpu_failed_seconds,
                reason="samples are kept for prometheus.retention_hours = "
                f"{prometheus.retention_hours}",
                fix=f"give at most {kept}, or raise prometheus.retention_hours",
            )
