"""The layer `models`: the model servers, their routes, autoscaling and alerts."""

from __future__ import annotations

import pulumi

from components import cluster_access, naming
from components.cluster.settings import ClusterSettings
from components.ownership import Ownership
from components.serving import cluster_checks, waker
from components.serving.client_keys import ClientKeys
from components.serving.model_server import ModelServer
from components.serving.models_settings import ModelsSettings
from components.settings import SettingsError
from stacks import config, files


def run() -> None:
    """Declares every model server of the stack."""
    chosen = config.settings(ModelsSettings)
    if chosen.cluster.stack and cluster_checks.asked(chosen.models):
        _check_cluster(chosen, chosen.cluster.stack)
    owned = Ownership(pulumi.get_stack(), chosen.adopt)
    cluster = cluster_access.provider(chosen.cluster)
    keys: list[pulumi.Resource] = []
    if chosen.client_keys:
        keys.append(
            ClientKeys(
                "client-keys",
                chosen.client_keys,
                chosen.surroundings.namespace,
                pulumi.ResourceOptions(providers=[cluster]),
            )
        )
    servers = {
        name: ModelServer(
            name,
            args,
            chosen.surroundings,
            pulumi.ResourceOptions(providers=[cluster]),
            chosen.prefixes,
            needs=keys if args.access and args.access.api_keys else (),
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
    owned.require_declared(files.name(pulumi.get_stack()))
    pulumi.export("paths", {name: server.path for name, server in servers.items()})
    pulumi.export("versions", {n: server.version for n, server in servers.items()})


def _check_cluster(chosen: ModelsSettings, other: str) -> None:
    """What the models count on against the stack that makes the cluster."""
    stack = pulumi.get_stack()
    cluster = config.of_other_stack(other, ClusterSettings, stack)
    namespace = chosen.surroundings.namespace
    if problems := list(cluster_checks.problems(chosen.models, namespace, cluster)):
        raise SettingsError(files.name(stack), problems)
