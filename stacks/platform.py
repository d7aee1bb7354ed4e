"""What every model needs in any cluster: names, DNS, metrics, gateway, monitoring."""

from __future__ import annotations

import pulumi

from components import naming
from components.cluster.existing import cluster_access
from components.observability.alert_recorder import AlertRecorder
from components.observability.alertmanager import Alertmanager
from components.observability.dashboards.config_maps import Dashboards
from components.observability.platform_rules import PlatformRules
from components.observability.prometheus import Prometheus
from components.observability.settings import MonitoringSettings
from components.ownership import Ownership
from components.platform import dashboards
from components.platform.coredns import CoreDns
from components.platform.envoy_gateway import EnvoyGateway
from components.platform.gateway import Gateway
from components.platform.gateway_api import GatewayApi
from components.platform.keda import Keda, KedaDefinitions
from components.platform.metrics_server import MetricsServer
from components.platform.namespaces import Namespaces
from components.platform.policy_agent import PolicyAgent
from components.platform.preemptible_jobs import PreemptibleJobs
from components.platform.settings import PlatformSettings
from components.security.admission import Admission
from stacks import config, files, layers, nodes
from stacks.place import Place


def run() -> None:
    """Declares the stack; each part that the settings leave out is the cluster's."""
    settings = config.settings(PlatformSettings)
    owned = Ownership(pulumi.get_stack(), settings.adopt)
    found = nodes.known(settings, pulumi.get_stack())
    place = Place(cluster_access.provider(settings.cluster))
    nodes.add(settings, found, place)
    if settings.policy_agent.enabled:
        PolicyAgent("policy-agent", settings.policy_agent, place.options)
    if settings.metrics_server.enabled:
        MetricsServer("metrics-server", settings.metrics_server, place.options)
    if settings.preemptible_jobs.enabled:
        PreemptibleJobs("preemptible-jobs", place.options)
    namespaces = Namespaces(
        "namespaces", settings.namespaces, place.options, keda=settings.keda.enabled
    )
    ready = place.then(namespaces)
    if settings.admission.enabled:
        _, environment = layers.split(pulumi.get_stack())
        Admission(
            "admission",
            settings.admission,
            settings.namespaces.models,
            environment=environment,
            production=settings.production,
            opts=ready.options,
        )
    if settings.coredns.enabled:
        ready = ready.then(CoreDns("coredns", settings.coredns, place.options))
    served = add_gateway(settings, ready)
    add_monitoring(settings.monitoring, ready)
    if settings.keda.enabled:
        kinds = KedaDefinitions("keda-crds", settings.keda, place.options)
        models = settings.namespaces.models
        Keda("keda", settings.keda, models, ready.then(kinds).options)
    # After the gateway: before it answers, its alerts would fire.
    PlatformRules(
        "rules-platform",
        settings.monitoring,
        gateway=settings.gateway.enabled,
        gpus=settings.gpu.dcgm_exporter.enabled,
        opts=served.options,
    )
    if settings.monitoring.dashboards.enabled:
        Dashboards(
            "dashboards",
            settings.monitoring.dashboards,
            dashboards.boards(settings),
            namespace=naming.MONITORING_NAMESPACE,
            opts=ready.options,
        )
    owned.require_declared(files.name(pulumi.get_stack()))
    pulumi.export("namespaces", list(settings.namespaces.models))


def add_gateway(settings: PlatformSettings, place: Place) -> Place:
    """CRDs, then the controller, then the Gateway: removed the other way round."""
    if settings.gateway_api.enabled:
        definitions = GatewayApi(
            "gateway-api", settings.gateway_api, settings.envoy_gateway, place.options
        )
        place = place.then(definitions)
    if settings.envoy_gateway.enabled:
        controller = EnvoyGateway(
            "envoy-gateway",
            settings.envoy_gateway,
            settings.namespaces.models,
            place.options,
        )
        place = place.then(controller)
    if settings.gateway.enabled:
        name = pulumi.get_stack()
        gateway = Gateway("gateway", settings.gateway, place.options, authority=name)
        place = place.then(gateway)
    return place


def add_monitoring(settings: MonitoringSettings, place: Place) -> None:
    """Prometheus, and where its alerts go."""
    recorder = None
    if settings.alert_recorder.enabled:
        recorder = AlertRecorder(
            "alert-recorder", settings.alert_recorder, place.options
        ).webhook
    alertmanager = settings.alertmanager.address
    if settings.alertmanager.enabled:
        alertmanager = Alertmanager(
            naming.ALERTMANAGER,
            settings.alertmanager,
            recorder=recorder,
            opts=place.options,
        ).address
    if settings.prometheus.enabled:
        Prometheus(
            "prometheus",
            settings.prometheus,
            alertmanager=alertmanager,
            opts=place.options,
        )
