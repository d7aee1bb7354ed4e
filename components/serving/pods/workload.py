"""The pods of a model server: container, probes, drain and placement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from components import naming
from components.cluster.nodes.gpu_nodes import RESOURCE
from components.security import pod_defaults
from components.serving.args.model_server_args import ModelServerArgs
from components.serving.pods import log_shipper, pod_environment, volumes
from components.serving.runtimes.base import Runtime
from components.workload import http_probe

PORT_NAME, GRPC_NAME, METRICS_NAME = "http", "grpc", "metrics"
CONTAINER = "server"
INSTANCE_TYPE_LABEL = "node.kubernetes.io/instance-type"
MIN_READY_SECONDS = 3
"""A new pod must stay ready this long before the next old one is stopped."""
REVISIONS_KEPT = 5
Manifest = dict[str, Any]


def ports(runtime: Runtime) -> dict[str, int]:
    """Return the named ports that others connect to."""
    found = {PORT_NAME: runtime.FACTS.http}
    if runtime.grpc_port:
        found[GRPC_NAME] = runtime.grpc_port
    if runtime.FACTS.metrics_port not in found.values():
        found[METRICS_NAME] = runtime.FACTS.metrics_port
    return found


def _probe(path: str, *, period: int, failures: int) -> Manifest:
    # Five seconds: a replica at its CPU limit responds late and must not be restarted.
    probe = http_probe(path, PORT_NAME, seconds=period, failures=failures)
    return {**probe, "timeoutSeconds": 5}


def _probes(model: str, args: ModelServerArgs) -> Manifest:
    """Return the probes: liveness starts once the model is loaded, however slow."""
    facts = args.runtime.FACTS
    ready, live = facts.ready.format(model=model), facts.live.format(model=model)
    startup_seconds = args.lifecycle.startup_seconds
    return {
        "startupProbe": _probe(ready, period=1, failures=startup_seconds),
        "readinessProbe": _probe(ready, period=5, failures=3),
        "livenessProbe": _probe(live, period=10, failures=6),
    }


def pre_stop_seconds(args: ModelServerArgs) -> int:
    """Return the kubelet's wait before SIGTERM, including the server's own waits.

    For a server that stops immediately at SIGTERM, it includes deregistration; for one
    that does not finish requests after it, also the drain.
    """
    facts, lifecycle = args.runtime.FACTS, args.lifecycle
    found = lifecycle.pre_stop_seconds
    if not facts.deregisters:
        found += lifecycle.deregistration_seconds
    if not facts.drains:
        found += lifecycle.drain_seconds
    return found


def _resources(args: ModelServerArgs) -> Manifest:
    found = pod_defaults.resources(**args.resources.model_dump())
    gpus = args.runtime.accelerators
    # Requests and limits of resources that cannot be shared are equal.
    count = {RESOURCE: str(gpus.replica_gpus)} if gpus else {}
    return {kind: {**amounts, **count} for kind, amounts in found.items()}


def _placement(selector: Mapping[str, str], instance_types: Sequence[str]) -> Manifest:
    """Spread replicas over nodes and zones where possible.

    `instance_types`: the only node types allowed; empty for all. `pod-template-hash`:
    each revision is spread separately. Otherwise a rolling update balances old and new
    pods together and leaves the new ones on one node.
    """
    match = {"matchLabels": dict(selector)}
    keys = ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
    apart = {"topologyKey": keys[0], "labelSelector": match}
    preferred = [{"weight": 100, "podAffinityTerm": apart}]
    nodes = {"nodeAffinity": of_types(instance_types)} if instance_types else {}
    return {
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": key,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": match,
                "matchLabelKeys": ["pod-template-hash"],
            }
            for key in keys
        ],
        "affinity": {
            **nodes,
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": preferred
            },
        },
    }


def of_types(instance_types: Sequence[str]) -> Manifest:
    """Return a node affinity: these instance types only."""
    expression = {
        "key": INSTANCE_TYPE_LABEL,
        "operator": "In",
        "values": list(instance_types),
    }
    terms = [{"matchExpressions": [expression]}]
    return {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}
    }


def _container(
    model: str,
    args: ModelServerArgs,
    mounts: list[Manifest],
    revision: str,
    secrets: Mapping[str, str],
) -> Manifest:
    program = args.runtime.program(model, args)
    more: Manifest = {}
    if program.command:
        more["command"] = list(program.command)
    if program.arguments:
        more["args"] = list(program.arguments)
    if seconds := pre_stop_seconds(args):
        # The kubelet's own sleep: the image needs no shell for it.
        more["lifecycle"] = {"preStop": {"sleep": {"seconds": seconds}}}
    return pod_defaults.container(
        CONTAINER,
        args.image,
        ports=[
            {"name": name, "containerPort": port, "protocol": "TCP"}
            for name, port in ports(args.runtime).items()
        ],
        env=pod_environment.variables(
            program, revision, args.environment, args.secrets, secrets
        ),
        resources=_resources(args),
        volumeMounts=mounts,
        terminationMessagePolicy="FallbackToLogsOnError",
        **_probes(model, args),
        **more,
    )


def _strategy(args: ModelServerArgs) -> Manifest:
    """Old pods wait for ready new ones, except where that would take forever."""
    gpus = args.runtime.accelerators
    surge, unavailable = gpus.surge if gpus else (1, 0)
    return {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": unavailable, "maxSurge": surge},
    }


def deployment_spec(
    name: str,
    args: ModelServerArgs,
    labels: Mapping[str, str],
    selector: Mapping[str, str],
    *,
    revision: str = "",
    files: str = "",
) -> Manifest:
    """Return the Deployment's spec, without `replicas`, which the autoscaler owns.

    `revision`: the name that the server reports, if the settings name one. `files`: the
    ConfigMap with the runtime's files, if any.
    """
    model, facts = args.served(name), args.runtime.FACTS
    secrets = args.secret_names(name)
    pod_volumes, mounts = volumes.of(model, args, files, secrets)
    gpus = args.runtime.accelerators
    more = _placement(selector, gpus.required_types if gpus else ())
    chosen = {**args.node_selector, **(gpus.node_selector if gpus else {})}
    more["nodeSelector"] = chosen or None
    own = [taint.toleration for taint in args.tolerations]
    if tolerations := [*(gpus.tolerations if gpus else ()), *own]:
        more["tolerations"] = tolerations
    grace_seconds = args.lifecycle.grace_seconds
    annotations = naming.scrape_annotations(facts.metrics_port, facts.metrics_path)
    if args.ships_log:
        more["initContainers"] = [log_shipper.container(args.prediction_log)]
        grace_seconds += log_shipper.DRAIN_SECONDS
        annotations[log_shipper.ANNOTATION] = str(log_shipper.PORT)
    pod = pod_defaults.pod(
        [_container(model, args, mounts, revision, secrets)],
        service_account=name,
        terminationGracePeriodSeconds=grace_seconds,
        volumes=pod_volumes,
        **more,
    )
    return {
        "selector": {"matchLabels": dict(selector)},
        "strategy": _strategy(args),
        "minReadySeconds": MIN_READY_SECONDS,
        "revisionHistoryLimit": REVISIONS_KEPT,
        "progressDeadlineSeconds": args.ready_seconds + 300,
        "template": {
            "metadata": {"labels": dict(labels), "annotations": annotations},
            "spec": pod,
        },
    }
