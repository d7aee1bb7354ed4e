"""Settings of the layer `platform`: one stack file, parsed once."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from components import naming, reserved_names
from components.cluster.existing.cluster_access import ClusterAccess
from components.cluster.nodes.elastic_pool import ElasticPool
from components.cluster.nodes.node_pool_base import PoolName
from components.observability.settings import MonitoringSettings
from components.ownership import AdoptedObject
from components.part_settings import NodePort, PartSettings, image_problems
from components.platform import production_rules
from components.platform.gpu.settings import GpuSettings
from components.platform.karpenter_settings import KarpenterSettings
from components.platform.keda_settings import KedaSettings
from components.platform.policy_agent_settings import PolicyAgentSettings
from components.platform.storage_class import StorageClassSettings
from components.platform.tls_settings import TlsSettings
from components.security.admission_settings import AdmissionSettings
from components.setting_types import Namespace, Whole
from components.settings import Problem, Settings, refuse

LOAD_BALANCER_TLS = (
    "service.beta.kubernetes.io/aws-load-balancer-ssl-",
    "service.beta.kubernetes.io/aws-load-balancer-backend-protocol",
)
"""Annotations by which an AWS load balancer ends TLS."""


def _address(value: str) -> str:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        refuse("not an IP address", "give one from the cluster's service network")
    return value


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value)
    except ValueError:
        refuse(
            "not an address range", "give one like 203.0.113.0/24, or 0.0.0.0/0 for all"
        )
    return value


class NamespaceSettings(Settings):
    """The namespaces that model servers live in."""

    models: tuple[Namespace, ...] = (naming.MODELS_NAMESPACE,)
    """Namespaces to create, with Pod Security `restricted` and default-deny policies.
    Routes in them may attach to the gateway."""
    pod_security_version: Annotated[str, Field(pattern=r"^(latest|v1\.[0-9]+)$")] = (
        "latest"
    )
    """Version of the Pod Security Standards that is enforced."""

    def contradictions(self) -> Iterator[Problem]:
        if not self.models:
            yield Problem(
                path="models",
                value=[],
                reason="models would have no namespace",
                fix="give at least one namespace",
            )
        for index, name in enumerate(self.models):
            owner = reserved_names.owner(name)
            if owner or name in self.models[:index]:
                yield Problem(
                    path=f"models.{index}",
                    value=name,
                    reason=f"it belongs to {owner}, and `slipway destroy` deletes the "
                    "namespaces of models"
                    if owner
                    else "it is listed twice",
                    fix="give a namespace for models only, each once",
                )


class CoreDnsSettings(PartSettings):
    """Cluster DNS; off by default, as nearly every cluster has it."""

    enabled: bool = False
    """True if the cluster has no DNS yet, like the lab."""
    image: str = "coredns"
    """CoreDNS. A short name of images.lock, or by digest."""
    cluster_ip: Annotated[str, AfterValidator(_address)] | None = None
    """Address of the Service kube-dns, which kubelets configure in pods."""
    domain: str = "cluster.local"
    """The cluster's DNS domain."""
    replicas: Annotated[Whole, Field(ge=1, le=20)] = 2
    """Pods of CoreDNS."""

    def contradictions(self) -> Iterator[Problem]:
        yield from super().contradictions()
        if self.enabled and not self.cluster_ip:
            yield Problem(
                path="cluster_ip",
                value=self.cluster_ip,
                reason="kubelets give pods a fixed DNS address, and none is set",
                fix="give the clusterDNS address from the kubelets' configuration",
            )


class MetricsServerSettings(PartSettings):
    """CPU and memory use of pods, which the autoscaler works by."""

    image: str = "metrics-server"
    """metrics-server. A short name of images.lock, or by digest."""
    kubelet_insecure_tls: bool = False
    """Accept kubelets' self-signed certificates."""
    resolution_seconds: Annotated[Whole, Field(ge=10, le=300)] = 15
    """Interval between queries of the kubelets; 10 is the minimum."""


class PreemptibleJobsSettings(Settings):
    """The PriorityClass of training jobs with `preemptible`."""

    enabled: bool = True
    """False where the cluster has a PriorityClass `slipway-preemptible`."""


class GatewayApiSettings(Settings):
    """The CRDs of Gateway API and of Envoy Gateway, one set by the same publisher."""

    enabled: bool = True
    """False where the cluster has them."""
    retain: bool = True
    """Keeps the CRDs at `destroy`: deleting a CRD deletes all its objects, including
    those of others."""


class EnvoyGatewaySettings(PartSettings):
    """The controller that turns Gateways and routes into Envoy proxies."""

    image: str = "envoy-gateway"
    """Envoy Gateway. A short name of images.lock, or by digest."""
    chart: str | None = None
    """Folder of the chart, if its Go module cannot be downloaded."""
    replicas: Annotated[Whole, Field(ge=1, le=5)] = 1
    """Pods of the controller; several elect a leader."""


class GatewaySettings(Settings):
    """The Gateway that model routes attach to, and its proxies."""

    enabled: bool = True
    """False if models attach to an existing Gateway."""
    image: str = "envoy"
    """Envoy. A short name of images.lock, or by digest."""
    replicas: Annotated[Whole, Field(ge=1, le=50)] = 2
    """Envoy proxies."""
    service: Literal["LoadBalancer", "NodePort", "ClusterIP"] = "LoadBalancer"
    """How the proxies are reached from outside."""
    node_port: NodePort = None
    """Fixed port on every node, with service: NodePort."""
    service_annotations: dict[str, str] = Field(default={}, validate_default=True)
    """Annotations of the Service, which configure a cloud's load balancer."""
    cpu_request_millicores: Annotated[Whole, Field(ge=10, le=64000)] = 250
    """CPU request of each proxy, in thousandths of a core."""
    memory_limit_mib: Annotated[Whole, Field(ge=128, le=65536)] = 512
    """Memory limit of each proxy; it sheds load before it reaches the limit."""
    drain_seconds: Annotated[Whole, Field(ge=5, le=600)] = 60
    """Longest time in which a stopping proxy finishes its requests."""
    max_connections: Annotated[Whole, Field(ge=10, le=1_000_000)] = 10_000
    """Connections that each proxy accepts."""
    request_seconds: Annotated[Whole, Field(ge=1, le=3600)] = 60
    """Longest time in which a request must arrive completely."""
    experiment_salts: bool = False
    """Whether each request gets the headers x-experiment-salt-0 to -3 with constant
    values, which a model's `experiment.assign_by.salt` chooses from."""
    tls: TlsSettings | None = None
    """HTTPS in addition to HTTP, or instead of it (`redirect`)."""
    egress_cidrs: tuple[Annotated[str, AfterValidator(_network)], ...] = ()
    """Networks that proxies may reach on port 443, in addition to models: where the
    issuers of tokens publish their keys (a model's `access.jwt.jwks_uri`)."""

    def contradictions(self) -> Iterator[Problem]:
        if self.enabled:
            yield from image_problems("image", self.image)
        tls_node_port = self.tls.node_port if self.tls else None
        for path, port in (
            ("node_port", self.node_port),
            ("tls.node_port", tls_node_port),
        ):
            if port and self.service != "NodePort":
                yield Problem(
                    path=path,
                    value=port,
                    reason=f"the service is of type {self.service}",
                    fix="set service: NodePort, or remove node_port",
                )
        if self.tls and self.tls.acm:
            yield from self._at_load_balancer()
        if self.service_annotations and self.service != "LoadBalancer":
            yield Problem(
                path="service_annotations",
                value=sorted(self.service_annotations),
                reason="nothing reads the annotations of a Service of type "
                f"{self.service}",
                fix="set service: LoadBalancer, or remove them",
            )

    def _at_load_balancer(self) -> Iterator[Problem]:
        """Report TLS by ACM without a load balancer, or configured twice."""
        if self.service != "LoadBalancer":
            yield Problem(
                path="tls.acm",
                value=self.service,
                reason="TLS would be terminated at the AWS load balancer, and a "
                f"Service of type {self.service} has none",
                fix="set service: LoadBalancer, or give own_ca, secret or cert_manager",
            )
        twice = [a for a in self.service_annotations if a.startswith(LOAD_BALANCER_TLS)]
        for annotation in twice:
            yield Problem(
                path=f"service_annotations.{annotation}",
                value=self.service_annotations[annotation],
                reason="tls.acm already sets the load balancer's TLS annotations",
                fix="remove it, or remove tls.acm",
            )


class PlatformSettings(Settings):
    """All settings of a stack platform.<environment>."""

    production: bool = False
    """True rejects settings that are unsafe in production: plain HTTP to the internet,
    a single proxy, metrics that are lost with a pod or kept for less than 15 days, node
    ports of programs without a password, unverified kubelet certificates."""
    images_lock: str = ""
    """File in the checkout that resolves short names of images, such as
    stacks/config/images.prod.lock. Empty: the file of the user who runs the command.
    With production: true, short names need it."""
    cluster: ClusterAccess = Field(default={}, validate_default=True)
    """Which cluster."""
    namespaces: NamespaceSettings = Field(default={}, validate_default=True)
    """Namespaces of the models."""
    coredns: CoreDnsSettings = Field(default={}, validate_default=True)
    """Cluster DNS."""
    policy_agent: PolicyAgentSettings = Field(default={}, validate_default=True)
    """Agent that enforces network policies."""
    metrics_server: MetricsServerSettings = Field(default={}, validate_default=True)
    """Resource metrics."""
    preemptible_jobs: PreemptibleJobsSettings = Field(default={}, validate_default=True)
    """Training jobs that model servers may evict."""
    gateway_api: GatewayApiSettings = Field(default={}, validate_default=True)
    """CRDs of routes."""
    envoy_gateway: EnvoyGatewaySettings = Field(default={}, validate_default=True)
    """The gateway's controller."""
    gateway: GatewaySettings = Field(default={}, validate_default=True)
    """The Gateway."""
    monitoring: MonitoringSettings = Field(default={}, validate_default=True)
    """Prometheus and alerts."""
    keda: KedaSettings = Field(default={}, validate_default=True)
    """Scaling by requests in flight."""
    storage_class: StorageClassSettings = Field(default={}, validate_default=True)
    """Volumes on EBS."""
    karpenter: KarpenterSettings = Field(default={}, validate_default=True)
    """Nodes on demand, on EKS."""
    node_pools: dict[PoolName, ElasticPool] = Field(default={}, validate_default=True)
    """Elastic pools by name, for clusters that this project did not create; with
    cluster.stack, that stack defines them."""
    gpu: GpuSettings = Field(default={}, validate_default=True)
    """Software on GPU nodes."""
    admission: AdmissionSettings = Field(default={}, validate_default=True)
    """Rules of policies/ enforced by the API server."""
    adopt: tuple[AdoptedObject, ...] = ()
    """Existing objects to adopt, as Kind/name or Kind/namespace/name: their declared
    fields are changed, and `destroy` keeps them."""

    def contradictions(self) -> Iterator[Problem]:
        if self.gateway.enabled and not self.envoy_gateway.enabled:
            yield Problem(
                path="gateway.enabled",
                value=True,
                reason="its class is served by Envoy Gateway, which is disabled",
                fix="enable envoy_gateway, or set gateway.enabled: false and let the "
                "models' routes name the existing Gateway",
            )
        if self.policy_agent.enabled and (self.cluster.stack or self.karpenter.enabled):
            yield Problem(
                path="policy_agent.enabled",
                value=True,
                reason="on EKS the VPC CNI enforces network policies, and pod traffic "
                "does not pass through the agent's rules",
                fix="remove policy_agent",
            )
        yield from self._nodes()
        if self.production:
            yield from production_rules.problems(
                self.gateway, self.monitoring, self.metrics_server
            )
        ports: dict[int, str] = {}
        for path, port in (
            ("gateway.node_port", self.gateway.node_port),
            (
                "gateway.tls.node_port",
                self.gateway.tls.node_port if self.gateway.tls else None,
            ),
            ("monitoring.prometheus.node_port", self.monitoring.prometheus.node_port),
            (
                "monitoring.alertmanager.node_port",
                self.monitoring.alertmanager.node_port,
            ),
            (
                "monitoring.alert_recorder.node_port",
                self.monitoring.alert_recorder.node_port,
            ),
        ):
            if port in ports:
                yield Problem(
                    path=path,
                    value=port,
                    reason=f"{ports[port]} has the same port",
                    fix="give each its own port",
                )
            if port:
                ports.setdefault(port, path)

    def _nodes(self) -> Iterator[Problem]:
        """Report pools that are defined twice, and a missing `karpenter.cluster`."""
        if self.cluster.stack:
            for path, value in (
                ("karpenter.cluster", self.karpenter.cluster),
                ("node_pools", sorted(self.node_pools)),
            ):
                if value:
                    yield Problem(
                        path=path,
                        value=value,
                        reason=f"the stack {self.cluster.stack} already defines it",
                        fix=f"remove it here, and change it in {self.cluster.stack}",
                    )
        elif self.karpenter.enabled and not self.karpenter.cluster:
            yield Problem(
                path="karpenter.cluster",
                value=None,
                reason="Karpenter needs the names of the cluster, of the nodes' role "
                "and of the queue, and no stack of this project provides them",
                fix="give karpenter.cluster, or cluster.stack",
            )
