"""Experiments that cannot begin, be counted, or be told from another one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from components.delivery.experiment_settings import ExperimentSettings
from components.serving.args.server_args import ServerArgs
from components.settings import ABSENT, Problem

HASH_KEY = "MODEL_SERVER_PREDICTION_LOG_HASH_KEY_FILE"


def problems(args: ServerArgs) -> Iterator[Problem]:
    """What of the server's other settings an experiment contradicts."""
    experiment = args.experiment
    if experiment is None:
        return
    if args.rollout:
        yield Problem(
            "experiment",
            experiment.treatment,
            "rollout moves the weights of the same revisions, which would change the "
            "assignment of callers",
            "remove rollout until the experiment is concluded, or remove experiment",
        )
    yield from _revisions(args, experiment)
    if not args.api_versions:
        yield Problem(
            "experiment",
            experiment.treatment,
            "the gateway assigns callers, and the model has no HTTP route",
            "give route, or remove experiment",
        )
    if args.grpc_route:
        yield Problem(
            "experiment",
            experiment.treatment,
            "it assigns HTTP requests alone: gRPC calls would stay with the control",
            "set grpc_route: false, or remove experiment",
        )
    yield from _log(args, experiment)


def _revisions(args: ServerArgs, experiment: ExperimentSettings) -> Iterator[Problem]:
    known = ", ".join(args.revisions) or "none"
    for name in experiment.shares:
        if name not in args.revisions:
            yield Problem(
                f"experiment.shares.{name}",
                experiment.shares[name],
                f"the model has no such revision; it has: {known}",
                "name two of `revisions`, or add it there",
            )
    for name, revision in args.revisions.items():
        if revision.weight is not None:
            yield Problem(
                f"revisions.{name}.weight",
                revision.weight,
                "the shares of the experiment are the weights",
                "remove it, or remove experiment",
            )


def _log(args: ServerArgs, experiment: ExperimentSettings) -> Iterator[Problem]:
    """Records that nobody takes, or in which callers cannot be told apart."""
    if args.monitor is None:
        yield Problem(
            "monitor",
            ABSENT,
            "the monitor counts the experiment, and it does not watch this model",
            "set monitor and prediction_log.sink, or remove experiment",
        )
    if experiment.unit == "caller" and HASH_KEY not in args.environment:
        yield Problem(
            f"environment.{HASH_KEY}",
            ABSENT,
            "the log keeps a hash of the header that names the caller, and there is no "
            "key for it",
            "mount a key and name its file (docs/how-to/deploy-a-model.md)",
        )


def clashes(models: Mapping[str, ServerArgs]) -> Iterator[Problem]:
    """Two experiments that would assign the same callers to both treatments."""
    first: dict[tuple[str, ...], str] = {}
    for name, args in models.items():
        hashed = tuple(args.experiment.hashed()) if args.experiment else ()
        if not hashed:
            continue
        other = first.setdefault(hashed, name)
        if other != name:
            assert args.experiment
            assert args.experiment.assign_by
            yield Problem(
                f"models.{name}.experiment.assign_by.salt",
                args.experiment.assign_by.salt,
                f"the experiment of {other} hashes the same headers, so the same "
                "callers would get both treatments",
                "give another salt",
            )
