"""The cluster's parts that model servers use: of the platform stack, or your own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, Field

from components import naming, reserved_names
from components.observability.settings import SCRAPE_SECONDS
from components.setting_types import DnsLabel, Namespace, Whole
from components.settings import Problem, Settings, refuse

_ADDRESS = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?(/[\w./-]*)?")


def _address(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        refuse(
            "not an address of Prometheus",
            "give http://host:port, without user and password",
        )
    return text


class KedaAccess(Settings):
    """KEDA, and the Prometheus that it asks."""

    prometheus: Annotated[str, AfterValidator(_address)] = (
        f"http://prometheus.{naming.MONITORING_NAMESPACE}.svc:9090"
    )
    """Address of Prometheus as KEDA reaches it; the default is the platform stack's."""


class ServingPlatform(Settings):
    """Names of what the cluster has; the defaults are those of the platform stack."""

    namespace: Namespace = naming.MODELS_NAMESPACE
    """Namespace of the model servers."""
    gateway: DnsLabel = naming.GATEWAY
    """Gateway that routes attach to."""
    gateway_namespace: Namespace = naming.GATEWAY_NAMESPACE
    """Namespace of the Gateway and of its proxies."""
    gateway_listener: DnsLabel | None = None
    """Listener of the Gateway that routes attach to; default: every listener that
    accepts them, so the platform's settings decide about plain HTTP."""
    gateway_is_internal: bool = False
    """Declares that only the company's own networks can reach the Gateway: then
    `production` accepts models without `access`."""
    monitoring_namespace: Namespace = naming.MONITORING_NAMESPACE
    """Namespace of Prometheus; the alert rules are put there."""
    scrape_interval_seconds: Annotated[Whole, Field(ge=1, le=300)] = SCRAPE_SECONDS
    """How often Prometheus scrapes pods; the default is the platform stack's
    (`monitoring.prometheus.scrape_interval_seconds`)."""
    keda: KedaAccess | None = None
    """Declares that the cluster has KEDA (`keda: {}` for the platform stack's), which
    models with `scaling.signal: inflight` need."""
    dns_namespace: Namespace = "kube-system"
    """Namespace of the cluster's DNS."""

    def contradictions(self) -> Iterator[Problem]:
        """Report models in a namespace of the cluster or the platform."""
        given = {
            self.gateway_namespace: "the gateway",
            self.monitoring_namespace: "the monitoring",
        }
        owner = given.get(self.namespace) or reserved_names.owner(self.namespace)
        if owner:
            yield Problem(
                "namespace",
                self.namespace,
                f"it belongs to {owner}; policies and quotas would mix",
                f"give one for models only, such as {naming.MODELS_NAMESPACE}",
            )
