"""The layer `models`: the model servers, their routes, autoscaling and alerts."""

from __future__ import annotations

import pulumi

from components import cluster_access, settings
from components.serving.model_server import ModelServer
from components.serving.models_settings import ModelsSettings
from stacks import config


def run() -> None:
    """Declares every model server of the stack."""
    source = f"stacks/config/Pulumi.{pulumi.get_stack()}.yaml"
    chosen = settings.parse(ModelsSettings, config.read(), source)
    cluster = cluster_access.provider(chosen.cluster)
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
    pulumi.export("paths", {name: server.path for name, server in servers.items()})
    pulumi.export("versions", {n: server.version for n, server in servers.items()})
