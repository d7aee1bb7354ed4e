"""The layer `models`: the model servers, their routes, autoscaling and alerts."""

from __future__ import annotations

import pulumi

from components import cluster_access, naming, settings
from components.cluster.settings import ClusterSettings
from components.serving import gpu_pools, waker
from components.serving.client_keys import ClientKeys
from components.serving.model_server import ModelServer
from components.serving.models_settings import ModelsSettings
from stacks import config


def run() -> None:
    """Declares every model server of the stack."""
    source = f"stacks/config/Pulumi.{pulumi.get_stack()}.yaml"
    config.require_encrypted("client_keys", source)
    chosen = settings.parse(ModelsSettings, config.read(), source)
    if chosen.cluster.stack and gpu_pools.asked(chosen.models):
        _check_pools(chosen, source, chosen.cluster.stack)
    cluster = cluster_access.provider(chosen.cluster)
    if chosen.client_keys:
        ClientKeys(
            "client-keys",
            chosen.client_keys,
            chosen.surroundings.namespace,
            pulumi.ResourceOptions(providers=[cluster]),
        )
    servers = {
        name: ModelServer(
            name,
            args,
            chosen.surroundings,
            pulumi.ResourceOptions(providers=[cluster]),
            chosen.prefixes,
        )
        for name, args in chosen.models.items()
    }
    if sleepers := waker.sleepers(chosen.models):
        waker.Waker(
            naming.WAKER,
            chosen.waker,
            sleepers,
            chosen.surroundings,
            pulumi.ResourceOptions(providers=[cluster]),
        )
    pulumi.export("paths", {name: server.path for name, server in servers.items()})
    pulumi.export("versions", {n: server.version for n, server in servers.items()})


def _check_pools(chosen: ModelsSettings, source: str, stack: str) -> None:
    """The models' GPUs against the pools of the stack that makes the cluster."""
    where = f"stacks/config/Pulumi.{stack}.yaml"
    cluster = settings.parse(ClusterSettings, config.of_stack(stack, source), where)
    if problems := list(gpu_pools.problems(chosen.models, cluster.pools)):
        raise settings.SettingsError(source, problems)
