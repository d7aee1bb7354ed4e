"""The pods of a model server: container, probes, volumes, drain and placement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pulumi_kubernetes.apps import v1 as apps
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta import v1 as meta

from components import naming
from components.security import pod_defaults
from components.serving.model_server_args import ModelServerArgs, PredictionLog

PORT = 8080
PORT_NAME = "http"
CONTAINER = "server"
MODELS_FOLDER = "/models"
PREDICTION_LOG_FOLDER = "/var/log/predictions"
READY_PATH = "/readyz"
LIVE_PATH = "/healthz"
MIN_READY_SECONDS = 3
"""A new pod must stay ready this long before the next old one is stopped."""
REVISIONS_KEPT = 5
_MIB = 2**20
_TMP_MIB = 16


def environment(name: str, args: ModelServerArgs, revision: str = "") -> dict[str, str]:
    """The server's settings (images/model_server/README.md) without the prefix."""
    found = {
        "MODELS": MODELS_FOLDER,
        "MODEL": name,
        "PORT": str(PORT),
        "ARM": args.arm,
        "DEREGISTRATION_SECONDS": str(args.lifecycle.deregistration_seconds),
        "DRAIN_SECONDS": str(args.lifecycle.drain_seconds),
        "REQUEST_TIMEOUT_SECONDS": str(args.lifecycle.longest_request_seconds),
        "MAX_BODY_BYTES": str(args.requests.max_body_kib * 1024),
        "MAX_REQUEST_ROWS": str(args.requests.max_request_rows),
        "MAX_BATCH_ROWS": str(args.requests.max_batch_rows),
        "MAX_QUEUE_ROWS": str(args.requests.max_queue_rows),
        "LOG_LEVEL": args.log_level,
        "PREDICTION_LOG": "",
    }
    if revision:
        # Else answers, metrics and log name the revision that model.yaml has.
        found["REVISION"] = revision
    log = args.prediction_log
    if log.enabled:
        found |= {
            "PREDICTION_LOG": PREDICTION_LOG_FOLDER,
            "PREDICTION_LOG_TOTAL_BYTES": str(log.total_mib * _MIB),
            "PREDICTION_LOG_FILE_BYTES": str(log.file_mib * _MIB),
            "PREDICTION_LOG_FILE_SECONDS": str(log.file_seconds),
        }
    return found


def _env(name: str, args: ModelServerArgs, revision: str) -> list[core.EnvVarArgs]:
    values = [
        core.EnvVarArgs(name=f"MODEL_SERVER_{key}", value=value)
        for key, value in environment(name, args, revision).items()
    ]
    namespace = core.EnvVarSourceArgs(
        field_ref=core.ObjectFieldSelectorArgs(
            api_version="v1", field_path="metadata.namespace"
        )
    )
    return [
        *values,
        core.EnvVarArgs(name="MODEL_SERVER_NAMESPACE", value_from=namespace),
    ]


def _probe(path: str, *, period: int, failures: int) -> core.ProbeArgs:
    # Five seconds: a replica at its CPU limit answers late, and is not to be punished.
    return core.ProbeArgs(
        http_get=core.HTTPGetActionArgs(path=path, port=PORT_NAME, scheme="HTTP"),
        period_seconds=period,
        timeout_seconds=5,
        failure_threshold=failures,
    )


def _probes(startup_seconds: int) -> dict[str, core.ProbeArgs]:
    """Liveness waits for the model to be loaded; a slow load is no crash."""
    return {
        "startup_probe": _probe(READY_PATH, period=1, failures=startup_seconds),
        "readiness_probe": _probe(READY_PATH, period=5, failures=3),
        "liveness_probe": _probe(LIVE_PATH, period=10, failures=6),
    }


def _empty_dir_mib(log: PredictionLog) -> int:
    """Over what the server keeps: a pod whose folder outgrows this is evicted."""
    return log.total_mib + 2 * log.file_mib


def _volumes(
    name: str, args: ModelServerArgs
) -> tuple[list[core.VolumeArgs], list[core.VolumeMountArgs]]:
    volumes = [
        core.VolumeArgs(
            name="model",
            image=core.ImageVolumeSourceArgs(
                reference=args.model_image, pull_policy="IfNotPresent"
            ),
        ),
        _scratch("tmp", _TMP_MIB),
    ]
    mounts = [
        core.VolumeMountArgs(
            name="model", mount_path=f"{MODELS_FOLDER}/{name}", read_only=True
        ),
        core.VolumeMountArgs(name="tmp", mount_path="/tmp"),  # noqa: S108 the pod's own
    ]
    if args.prediction_log.enabled:
        volumes.append(_scratch("predictions", _empty_dir_mib(args.prediction_log)))
        mounts.append(
            core.VolumeMountArgs(name="predictions", mount_path=PREDICTION_LOG_FOLDER)
        )
    return volumes, mounts


def _scratch(name: str, mib: int) -> core.VolumeArgs:
    size = pod_defaults.memory_quantity(mib)
    return core.VolumeArgs(
        name=name, empty_dir=core.EmptyDirVolumeSourceArgs(size_limit=size)
    )


def _placement(selector: Mapping[str, str]) -> dict[str, Any]:
    """Apart from each other where there is room: over nodes and over zones.

    `pod-template-hash`: each revision is spread by itself, else a rolling update
    balances old and new together and leaves the new ones on one node.
    """
    match = meta.LabelSelectorArgs(match_labels=dict(selector))
    keys = ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
    return {
        "topology_spread_constraints": [
            core.TopologySpreadConstraintArgs(
                max_skew=1,
                topology_key=key,
                when_unsatisfiable="ScheduleAnyway",
                label_selector=match,
                match_label_keys=["pod-template-hash"],
            )
            for key in keys
        ],
        "affinity": core.AffinityArgs(
            pod_anti_affinity=core.PodAntiAffinityArgs(
                preferred_during_scheduling_ignored_during_execution=[
                    core.WeightedPodAffinityTermArgs(
                        weight=100,
                        pod_affinity_term=core.PodAffinityTermArgs(
                            topology_key=keys[0], label_selector=match
                        ),
                    )
                ]
            )
        ),
    }


def _container(
    name: str,
    args: ModelServerArgs,
    mounts: list[core.VolumeMountArgs],
    revision: str,
) -> core.ContainerArgs:
    more: dict[str, Any] = {}
    if args.lifecycle.pre_stop_seconds:
        # The kubelet's own sleep: the image needs no shell for it.
        more["lifecycle"] = core.LifecycleArgs(
            pre_stop=core.LifecycleHandlerArgs(
                sleep=core.SleepActionArgs(seconds=args.lifecycle.pre_stop_seconds)
            )
        )
    return pod_defaults.container(
        CONTAINER,
        args.image,
        ports=[
            core.ContainerPortArgs(name=PORT_NAME, container_port=PORT, protocol="TCP")
        ],
        env=_env(name, args, revision),
        resources=pod_defaults.resources(**args.resources.model_dump()),
        volume_mounts=mounts,
        termination_message_policy="FallbackToLogsOnError",
        **_probes(args.lifecycle.startup_seconds),
        **more,
    )


def deployment_spec(
    name: str,
    args: ModelServerArgs,
    labels: Mapping[str, str],
    selector: Mapping[str, str],
    *,
    revision: str = "",
) -> apps.DeploymentSpecArgs:
    """The Deployment's spec. `replicas` is left out: it is the autoscaler's.

    `revision`: the name that the server reports, if it has one by the settings.
    """
    volumes, mounts = _volumes(name, args)
    pod = pod_defaults.pod(
        [_container(name, args, mounts, revision)],
        service_account=name,
        termination_grace_period_seconds=args.lifecycle.grace_seconds,
        volumes=volumes,
        **_placement(selector),
    )
    return apps.DeploymentSpecArgs(
        selector=meta.LabelSelectorArgs(match_labels=dict(selector)),
        # No old pod goes before a new one is ready.
        strategy=apps.DeploymentStrategyArgs(
            type="RollingUpdate",
            rolling_update=apps.RollingUpdateDeploymentArgs(
                max_unavailable=0, max_surge=1
            ),
        ),
        min_ready_seconds=MIN_READY_SECONDS,
        revision_history_limit=REVISIONS_KEPT,
        progress_deadline_seconds=args.lifecycle.startup_seconds + 300,
        template=core.PodTemplateSpecArgs(
            metadata=meta.ObjectMetaArgs(
                labels=dict(labels), annotations=naming.scrape_annotations(PORT)
            ),
            spec=pod,
        ),
    )
