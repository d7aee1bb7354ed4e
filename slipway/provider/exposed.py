"""The components that programs of other languages can create, in one table.

A component is here if its arguments are settings, or outputs of another one that is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi

from components.cluster.eks import Eks
from components.cluster.network.network import Network
from components.cluster.storage.storage import ModelStorage
from components.observability.alert_recorder import AlertRecorder
from components.observability.alertmanager import Alertmanager
from components.observability.prometheus import Prometheus
from components.observability.settings import AlertRecorderSettings
from components.platform.coredns import CoreDns
from components.platform.envoy_gateway import EnvoyGateway
from components.platform.gateway import Gateway
from components.platform.gateway_api import GatewayApi
from components.platform.keda import Keda, KedaDefinitions
from components.platform.keda_settings import KedaSettings
from components.platform.metrics_server import MetricsServer
from components.platform.namespaces import Namespaces
from components.platform.policy_agent import PolicyAgent
from components.platform.policy_agent_settings import PolicyAgentSettings
from components.platform.settings import CoreDnsSettings, MetricsServerSettings
from components.serving.model_server import ModelServer
from components.settings import Settings
from slipway.provider import inputs

TEXT = {"type": "string"}
TEXTS = {"type": "array", "items": TEXT}
TEXT_BY_NAME = {"type": "object", "additionalProperties": TEXT}
Shape = Mapping[str, Any]
Links = Mapping[str, Any]
Options = pulumi.ResourceOptions | None
Make = Callable[[str, Any, Links, Options], pulumi.ComponentResource]


@dataclass(frozen=True)
class Exposed:
    """A component, what it takes and what it gives."""

    token: str
    inputs: type[Settings]
    make: Make
    """Of the name, the parsed inputs, the links and the options."""
    links: Mapping[str, Shape] = field(default_factory=dict)
    """Inputs that other resources' outputs may be, with their types."""
    outputs: Mapping[str, Shape] = field(default_factory=dict)
    """Attributes of the component that programs see, with their types."""
    description: str = ""


def _of(
    component: Callable[..., pulumi.ComponentResource],
    module: str,
    settings: type[Settings],
    *extra: str,
    outputs: Mapping[str, Shape] | None = None,
    links: Mapping[str, Shape] | None = None,
) -> Exposed:
    """A component `(name, settings, opts=, **extra)`.

    `extra` are fields of the inputs' class that its settings do not have.
    """

    def make(name: str, given: Any, linked: Links, opts: Options) -> Any:
        more = {field: getattr(given, field) for field in extra}
        return component(name, given, opts=opts, **more, **linked)

    return Exposed(
        token=f"slipway:{module}:{component.__name__}",
        inputs=settings,
        make=make,
        links=links or {},
        outputs=outputs or {},
        description=(component.__doc__ or "").strip().partition("\n\n")[0],
    )


TABLE = (
    _of(
        ModelServer,
        "serving",
        inputs.ModelServerInputs,
        *("platform", "known_prefixes"),
        outputs={"service": TEXT, "path": TEXT, "version": TEXT},
    ),
    _of(Namespaces, "platform", inputs.NamespacesInputs, "keda"),
    _of(GatewayApi, "platform", inputs.GatewayApiInputs, "gateway"),
    _of(EnvoyGateway, "platform", inputs.EnvoyGatewayInputs, "namespaces"),
    _of(Gateway, "platform", inputs.GatewayInputs, "authority"),
    _of(MetricsServer, "platform", MetricsServerSettings),
    _of(CoreDns, "platform", CoreDnsSettings),
    _of(PolicyAgent, "platform", PolicyAgentSettings),
    _of(KedaDefinitions, "platform", KedaSettings),
    _of(Keda, "platform", inputs.KedaInputs, "namespaces"),
    _of(AlertRecorder, "observability", AlertRecorderSettings),
    _of(Alertmanager, "observability", inputs.AlertmanagerInputs, "recorder"),
    _of(Prometheus, "observability", inputs.PrometheusInputs, "alertmanager"),
    _of(
        Network,
        "cluster",
        inputs.NetworkInputs,
        *("cluster", "arns", "protect"),
        outputs={
            "vpc_id": TEXT,
            "private_subnets": TEXT_BY_NAME,
            "intra_subnets": TEXT_BY_NAME,
            "public_subnets": TEXT_BY_NAME,
        },
    ),
    _of(
        ModelStorage,
        "cluster",
        inputs.StorageInputs,
        *("cluster", "arns"),
        outputs={"key_arn": TEXT, "repositories": TEXT_BY_NAME},
    ),
    _of(
        Eks,
        "cluster",
        inputs.EksInputs,
        "arns",
        links={"vpc_id": TEXT, "subnets": TEXTS},
        outputs=dict.fromkeys(
            ("name", "endpoint", "certificate_authority", "security_group_id"), TEXT
        ),
    ),
)
"""In the order of layers from the top: models first."""

BY_TOKEN = {one.token: one for one in TABLE}
