"""The layer `models`: the model servers, their routes, autoscaling and alerts."""

from __future__ import annotations

import pulumi

from components import naming
from components.cluster.existing import cluster_access
from components.delivery.rollout_controller import RolloutController
from components.monitoring import monitor_file
from components.monitoring.attributions import ModelAttributions
from components.monitoring.console import ModelConsole
from components.monitoring.monitor import ModelMonitor
from components.observability.dashboards.config_maps import Dashboards
from components.ownership import Ownership
from components.serving import dashboards
from components.serving.args.model_server_args import ModelServerArgs
from components.serving.args.parts import parts
from components.serving.model_server import ModelServer
from components.serving.models_settings import ModelsSettings
from components.serving.rollouts import rollouts
from components.serving.routes import waker
from components.serving.routes.client_keys import ClientKeys
from stacks import config, files, groups, neighbours


def run() -> None:
    """Declares every model server of the stack."""
    chosen = config.settings(ModelsSettings)
    rest = groups.rest()
    evictable = neighbours.check(chosen, pulumi.get_stack()) if rest else {}
    owned = Ownership(pulumi.get_stack(), chosen.adopt)
    cluster = cluster_access.provider(chosen.cluster)
    keys: list[pulumi.Resource] = []
    if chosen.client_keys:
        keys.append(
            ClientKeys(
                "client-keys",
                chosen.client_keys,
                chosen.platform.namespace,
                pulumi.ResourceOptions(providers=[cluster]),
            )
        )
    # Beside these, a model sees its own settings and those of the stack, no more.
    prefixes = groups.common("prefixes", chosen.prefixes)
    servers = {
        name: ModelServer(
            name,
            chosen.models[name],
            chosen.platform,
            pulumi.ResourceOptions(providers=[cluster]),
            prefixes,
            needs=keys if _asks_for_keys(chosen.models[name]) else (),
        )
        for name in groups.members(chosen.models)
    }
    if rest:
        _beside_models(chosen, evictable, cluster)
        owned.require_declared(files.name(pulumi.get_stack()))
    pulumi.export("paths", {name: server.path for name, server in servers.items()})
    pulumi.export("versions", {n: server.version for n, server in servers.items()})


def _asks_for_keys(args: ModelServerArgs) -> bool:
    return bool(args.access and args.access.api_keys)


def _beside_models(
    chosen: ModelsSettings,
    evictable: neighbours.Evictable,
    cluster: pulumi.ProviderResource,
) -> None:
    """What all models of the stack share."""
    if sleepers := waker.sleepers(chosen.models):
        waker.Waker(
            naming.WAKER,
            chosen.waker,
            sleepers,
            chosen.platform,
            pulumi.ResourceOptions(providers=[cluster]),
            deployments=[
                part.name
                for name, args in chosen.models.items()
                for part in parts(name, args)
            ],
        )
    moved = rollouts(chosen.models, evictable)
    if moved:
        RolloutController(
            naming.ROLLOUT_CONTROLLER,
            chosen.delivery,
            moved,
            namespace=chosen.platform.namespace,
            monitoring_namespace=chosen.platform.monitoring_namespace,
            readers=_readers_of_rollouts(chosen),
            opts=pulumi.ResourceOptions(providers=[cluster]),
        )
    if watched := chosen.watched:
        ModelMonitor(
            naming.MODEL_MONITOR,
            chosen.monitor,
            watched,
            namespace=chosen.platform.namespace,
            monitoring_namespace=chosen.platform.monitoring_namespace,
            opts=pulumi.ResourceOptions(providers=[cluster]),
        )
        if chosen.monitor.attributions:
            ModelAttributions(
                naming.MODEL_ATTRIBUTIONS,
                chosen.monitor.attributions,
                watched,
                namespace=chosen.platform.namespace,
                opts=pulumi.ResourceOptions(providers=[cluster]),
            )
        if chosen.monitor.console:
            ModelConsole(
                naming.MODEL_CONSOLE,
                chosen.monitor.console,
                namespace=chosen.platform.namespace,
                monitoring_namespace=chosen.platform.monitoring_namespace,
                rollouts=bool(moved),
                opts=pulumi.ResourceOptions(providers=[cluster]),
            )
    if chosen.dashboards.enabled:
        Dashboards(
            "dashboards",
            chosen.dashboards,
            dashboards.boards(chosen),
            namespace=chosen.platform.monitoring_namespace,
            opts=pulumi.ResourceOptions(providers=[cluster]),
        )


def _readers_of_rollouts(chosen: ModelsSettings) -> list[str]:
    """Programs that ask the rollout controller how the rollouts stand."""
    found = []
    if monitor_file.experiments(chosen.watched):
        found.append(naming.MODEL_MONITOR)
    if chosen.watched and chosen.monitor.console:
        found.append(naming.MODEL_CONSOLE)
    return found
