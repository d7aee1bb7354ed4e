"""Check the weights of revisions: fixed, or set by a rollout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from components.delivery import rollout_file
from components.serving.args import lending, shadow_problems
from components.serving.args.server_args import ServerArgs
from components.serving.settings.revisions import wrong_weights
from components.settings import Problem


def problems(args: ServerArgs) -> Iterator[Problem]:
    """Report wrong sums of weights, and rollouts that cannot begin or be measured."""
    rollout = args.rollout
    if rollout is None:
        if args.experiment is None:
            yield from wrong_weights(args.revisions)
        return
    known = ", ".join(args.revisions) or "none"
    for field, name in (("from", rollout.from_), ("to", rollout.to)):
        if name not in args.revisions:
            yield Problem(
                f"rollout.{field}",
                name,
                f"the model has no such revision; it has: {known}",
                "name one of `revisions`, or add it there",
            )
    for name, revision in args.revisions.items():
        if revision.weight is not None:
            yield Problem(
                f"revisions.{name}.weight",
                revision.weight,
                "the rollout controller sets the weights while there is a rollout",
                "remove it, or remove rollout",
            )
    yield from shadow_problems.problems(args)
    yield from lending.problems(args)
    gpus = args.runtime.accelerators
    if rollout.borrow and not (gpus and gpus.pool):
        yield Problem(
            "rollout.borrow",
            {stack: list(names) for stack, names in rollout.borrow.jobs.items()},
            "the model names no pool, so it is unknown whose GPUs it could have",
            "set runtime.gpus.pool, or remove borrow",
        )
    if not args.api_versions:
        yield Problem(
            "rollout",
            rollout.to,
            "requests are counted at the gateway, and the model has no HTTP route",
            "give route, or remove rollout",
        )
    if args.grpc_route:
        yield Problem(
            "rollout",
            rollout.to,
            "it moves HTTP requests alone: gRPC calls would stay with the old revision",
            "set grpc_route: false, or remove rollout",
        )


def clashes(models: Mapping[str, ServerArgs]) -> Iterator[Problem]:
    """Report objects of a rollout that would have the names of another server's."""
    for name, args in models.items():
        other = rollout_file.traffic_route(name)
        # Its policies target that route before and after a rollout, too.
        if args.revisions and other in models:
            yield Problem(
                f"models.{other}",
                other,
                f"the weighted route of {name}, which has revisions, has this name",
                "rename one of them",
            )
    moved = {name: args for name, args in models.items() if args.weights_moved}
    for name, args in moved.items():
        other = f"{name}-status"
        if other in moved:
            kind = "experiment" if args.experiment else "rollout"
            yield Problem(
                f"models.{other}",
                other,
                f"the status of the {kind} of {name} has the name of its settings",
                "rename one of them",
            )
