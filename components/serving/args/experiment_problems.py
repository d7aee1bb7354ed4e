"""Check for experiments that cannot begin, be counted, or be distinguished."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from components.delivery.experiment_settings import ExperimentSettings
from components.monitoring.settings import MonitorSettings
from components.serving.args.server_args import ServerArgs
from components.serving.runtimes.application import Application
from components.settings import ABSENT, Problem

HASH_KEY = "MODEL_SERVER_PREDICTION_LOG_HASH_KEY_FILE"


def problems(args: ServerArgs) -> Iterator[Problem]:
    """Report conflicts of an experiment with the server's other settings."""
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
    """Report records that nobody collects, or that cannot distinguish callers."""
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
    own = isinstance(args.runtime, Application) and args.runtime.paths
    if experiment.unit == "caller" and own:
        yield Problem(
            "experiment.unit",
            experiment.unit,
            "predictions of the application's own paths (runtime.paths) are logged "
            "without the caller, so they would not count",
            "remove runtime.paths and have callers use /infer, or set unit: request "
            "without assign_by",
        )


def uncounted(
    models: Mapping[str, ServerArgs], monitor: MonitorSettings
) -> Iterator[Problem]:
    """Report experiments whose labels the monitor lacks or keeps too briefly."""
    for name, args in models.items():
        if not args.experiment or not args.monitor:
            continue
        path = f"models.{name}.experiment"
        yield from _labels(path, args.experiment, monitor)
        yield from _retention(path, args.experiment, monitor)


def _labels(
    path: str, experiment: ExperimentSettings, monitor: MonitorSettings
) -> Iterator[Problem]:
    for place, metric in experiment.places():
        if metric.labels_within_hours and not monitor.labels_secret:
            yield Problem(
                f"{path}.{place}.kind",
                metric.kind,
                "it needs labels, and without monitor.labels_secret the monitor takes "
                "none",
                "set monitor.labels_secret, or choose a metric without labels",
            )


def _retention(
    path: str, experiment: ExperimentSettings, monitor: MonitorSettings
) -> Iterator[Problem]:
    hours = max(it.labels_within_hours or 0 for _, it in experiment.places())
    needed = math.ceil(experiment.days + experiment.covariate_days + hours / 24)
    if needed > monitor.retention_days:
        yield Problem(
            f"{path}.days",
            experiment.days,
            f"with covariate_days and the time for labels its report reads {needed} "
            "days, and the monitor keeps predictions for retention_days = "
            f"{monitor.retention_days}",
            f"raise monitor.retention_days to {needed}, or give fewer days",
        )


def clashes(models: Mapping[str, ServerArgs]) -> Iterator[Problem]:
    """Report two experiments that would assign the same callers to both treatments."""
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
