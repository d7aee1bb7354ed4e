"""What models must have once production depends on them (`production: true`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from components.serving.args.model_server_args import ModelServerArgs
from components.settings import ABSENT, Problem

OR_ELSE = "or set production: false"


def problems(
    models: Mapping[str, ModelServerArgs], *, gateway_is_internal: bool
) -> Iterator[Problem]:
    """Where the models fall short of production."""
    for name, args in models.items():
        if not gateway_is_internal and (args.api_versions or args.grpc_route):
            yield from _open(f"models.{name}.", args)
        yield from _single(f"models.{name}.", args)


def _open(path: str, args: ModelServerArgs) -> Iterator[Problem]:
    if args.access and args.access.identifies:
        return
    yield Problem(
        f"{path}access",
        sorted(args.access.model_fields_set) if args.access else ABSENT,
        "production: whoever reaches the gateway may call the model, without a key or "
        "a token",
        "give access.api_keys or access.jwt; or, if the gateway's load balancer is "
        f"internal, set surroundings.gateway_is_internal: true, {OR_ELSE}",
    )


def _single(path: str, args: ModelServerArgs) -> Iterator[Problem]:
    if args.scaling.accept_single_replica and args.scaling.min_replicas == 1:
        yield Problem(
            f"{path}scaling.accept_single_replica",
            value=True,
            reason="production: each drain of a node and each crash is an outage",
            fix=f"give min_replicas of at least 2, {OR_ELSE}",
        )
