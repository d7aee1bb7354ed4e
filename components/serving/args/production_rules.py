"""Requirements for models in production (`production: true`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from components.monitoring.settings import MonitorSettings
from components.serving.args.model_server_args import ModelServerArgs
from components.settings import ABSENT, Problem

OR_ELSE = "or set production: false"


def problems(
    models: Mapping[str, ModelServerArgs],
    monitor: MonitorSettings,
    *,
    gateway_is_internal: bool,
) -> Iterator[Problem]:
    """Report where the models and their monitor do not meet the requirements."""
    for name, args in models.items():
        if not gateway_is_internal and (args.api_versions or args.grpc_route):
            yield from _open(f"models.{name}.", args)
        yield from _single(f"models.{name}.", args)
    yield from _console(monitor)


def _open(path: str, args: ModelServerArgs) -> Iterator[Problem]:
    if args.access and args.access.identifies:
        return
    yield Problem(
        f"{path}access",
        sorted(args.access.model_fields_set) if args.access else ABSENT,
        "production: anyone who can reach the gateway may call the model, without a "
        "key or a token",
        "give access.api_keys or access.jwt; or, if the gateway's load balancer is "
        f"internal, set platform.gateway_is_internal: true, {OR_ELSE}",
    )


def _single(path: str, args: ModelServerArgs) -> Iterator[Problem]:
    if args.scaling.accept_single_replica and args.scaling.min_replicas == 1:
        yield Problem(
            f"{path}scaling.accept_single_replica",
            value=True,
            reason="production: each drain of a node and each crash is an outage",
            fix=f"give min_replicas of at least 2, {OR_ELSE}",
        )


def _console(monitor: MonitorSettings) -> Iterator[Problem]:
    """Report console pages without a password on every node's address."""
    if monitor.console and monitor.console.node_port:
        yield Problem(
            "monitor.console.node_port",
            monitor.console.node_port,
            "production: anyone who can reach a node could read the pages, without a "
            "password",
            "remove it, and name the namespace of a proxy that asks people who they "
            f"are in monitor.console.callers, {OR_ELSE}",
        )
