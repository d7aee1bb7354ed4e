"""Start a gang as a whole or not at all, with nothing installed in the cluster.

A sidecar of each worker responds to its peers, and another container waits until all of
them respond. Both start once the image, the data and the volumes of their pod are
available. A worker that never starts is therefore detected, for whatever reason.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.security import pod_defaults
from components.training import frameworks
from components.training.gang_start import TIMED_OUT
from components.training.job_fields import SIDECAR, WAIT, WORKER, JobFields

SCRIPT = Path(__file__).with_name("gang_start.py")
PORT = 29399
"""Not 29400: torchrun's own rendezvous (c10d) listens there."""
VOLUME, FOLDER = "gang", "/etc/slipway-gang"
BAD_CONFIGURATION = 78
"""EX_CONFIG of sysexits.h: a program that cannot use its configuration. With torch, it
has no effect, because torchrun ends with 1 whatever its program's status."""
KILLED = 137
"""Status of a container that was killed, for example for its memory: 128 and
SIGKILL."""
KUEUE_QUEUE = "kueue.x-k8s.io/queue-name"
"""https://kueue.sigs.k8s.io/docs/tasks/run/jobs/"""
SMALL = {
    "cpu_request_millicores": 10,
    "cpu_limit_millicores": 200,
    "memory_request_mib": 32,
    "memory_limit_mib": 64,
}


def config() -> dict[str, str]:
    """Files of the ConfigMap that the containers mount."""
    return {SCRIPT.name: SCRIPT.read_text()}


def volume(name: str) -> dict[str, Any]:
    """The ConfigMap of this name as a volume of the pod."""
    return {"name": VOLUME, "configMap": {"name": name}}


def containers(job: JobFields, service: str) -> list[dict[str, Any]]:
    """Init containers of a gang: the sidecar, and the one that waits."""
    seconds, workers = str(job.start_timeout_seconds), str(job.nodes)
    waiting = ["wait", str(PORT), seconds, f"$({frameworks.RUN})", service, workers]
    return [
        _container(job, SIDECAR, ["serve", str(PORT)], restartPolicy="Always"),
        _container(job, WAIT, waiting, env=[frameworks.of_run()]),
    ]


def _container(
    job: JobFields, name: str, words: list[str], **more: Any
) -> dict[str, Any]:
    return pod_defaults.container(
        name,
        job.image,
        # Isolated: files in the image's working folder are not imported.
        command=[job.interpreter, "-I", "-u", f"{FOLDER}/{SCRIPT.name}", *words],
        resources=pod_defaults.resources(**SMALL),
        terminationMessagePolicy="FallbackToLogsOnError",
        volumeMounts=[{"name": VOLUME, "mountPath": FOLDER, "readOnly": True}],
        **more,
    )


def job_spec(job: JobFields, template: dict[str, Any]) -> dict[str, Any]:
    """The Indexed Job: one pod for each index, replaced when the one before is gone.

    Failures are counted by index, and the delay before a replacement grows by index:
    10 s, twice as long each time, at most 600 s. Counted together, a worker that fails
    once could come back after the others have given it up. The first index that has
    failed too often ends the run.

    Kubernetes' own gang scheduling takes just such Jobs (Indexed, completions equal to
    parallelism, never started before) and says nothing of others:
    https://github.com/kubernetes/kubernetes/blob/v1.36.0/pkg/controller/job/job_scheduling_manager.go
    """
    suspended = {"suspend": True} if job.gang == "kueue" else {}
    return {
        "completionMode": "Indexed",
        "completions": job.nodes,
        "parallelism": job.nodes,
        "backoffLimitPerIndex": job.restarts.gang_restarts,
        "maxFailedIndexes": 0,
        "activeDeadlineSeconds": job.deadline_seconds,
        "ttlSecondsAfterFinished": job.keep_seconds,
        # Frameworks reject a second pod of an index beside the first.
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {"rules": _failure_rules(job)},
        **suspended,
        "template": template,
    }


def _failure_rules(job: JobFields) -> list[dict[str, Any]]:
    """Rules for what ends a run immediately, and what does not count as a failure."""
    last = [_fails(WORKER, BAD_CONFIGURATION)]
    if job.nodes > 1:
        last.insert(0, _fails(WAIT, TIMED_OUT))
    disrupted = {"type": "DisruptionTarget", "status": "True"}
    rules = [*last, {"action": "Ignore", "onPodConditions": [disrupted]}]
    if job.retry_with:  # after the disruptions, which kill in the same way
        rules.append(_fails(WORKER, KILLED))
    return rules


def _fails(container: str, status: int) -> dict[str, Any]:
    codes = {"containerName": container, "operator": "In", "values": [status]}
    return {"action": "FailJob", "onExitCodes": codes}
